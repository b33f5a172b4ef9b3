/** package-lock.json as data: every package of others that an install may bring. */
import { readFileSync } from 'node:fs'

export interface LockedPackage {
  readonly name: string
  readonly version: string
  /** an SPDX expression; undefined: it says none */
  readonly license?: string
  /** for building and testing alone */
  readonly isDev: boolean
  /** npm would run a script of its own, if it may */
  readonly hasInstallScript: boolean
}

interface LockEntry {
  readonly name?: string
  readonly version: string
  readonly license?: string
  readonly dev?: boolean
  readonly link?: boolean
  readonly hasInstallScript?: boolean
}

const FOLDER = 'node_modules/'

const lockfile = new URL('../../package-lock.json', import.meta.url)

export function readLockfile (): LockedPackage[] {
  const { packages } = JSON.parse(readFileSync(lockfile, 'utf8')) as { packages: Record<string, LockEntry> }
  return Object.entries(packages)
    .filter(([place, { link }]) => place.includes(FOLDER) && !link) // else a workspace of ours
    .map(([place, { name, version, license, dev = false, hasInstallScript = false }]) => ({
      name: name ?? place.slice(place.lastIndexOf(FOLDER) + FOLDER.length),
      version,
      license,
      isDev: dev,
      hasInstallScript
    }))
}
