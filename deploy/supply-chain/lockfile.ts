/** package-lock.json as data: every third-party package that an install may bring. */
import { readFileSync } from 'node:fs'

export interface LockedPackage {
  readonly name: string
  readonly version: string
  /** an SPDX expression; undefined: none is stated */
  readonly license?: string
  /** only for building and testing */
  readonly isDev: boolean
  /** whether it has an install script, which npm would run if allowed */
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
    .filter(([place, { link }]) => place.includes(FOLDER) && !link) // links are workspaces of this repository
    .map(([place, { name, version, license, dev = false, hasInstallScript = false }]) => ({
      name: name ?? place.slice(place.lastIndexOf(FOLDER) + FOLDER.length),
      version,
      license,
      isDev: dev,
      hasInstallScript
    }))
}
