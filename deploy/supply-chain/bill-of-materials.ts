/**
 * The list of all that Relay is made of, in CycloneDX, by `npm sbom` from the lock file. What is for building and
 * testing alone is marked in it: with --omit=dev npm would leave out what is for both.
 */
import { execFileSync } from 'node:child_process'

import type { LockedPackage } from './lockfile.ts'

const BYTES_MAX = 64 * 1024 * 1024

export function makeBillOfMaterials (root: string): string {
  const args = ['sbom', '--sbom-format=cyclonedx', '--package-lock-only']
  return execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: BYTES_MAX })
}

/** What is wrong with a list: a line each. */
export function faultsOf (json: string, packages: readonly LockedPackage[]): string[] {
  const bom = JSON.parse(json) as {
    readonly bomFormat?: string
    readonly specVersion?: string
    readonly components?: ReadonlyArray<{ readonly purl?: string, readonly licenses?: readonly unknown[] }>
  }
  if (bom.bomFormat !== 'CycloneDX' || !/^1\.\d+$/.test(bom.specVersion ?? '')) {
    return ['not a CycloneDX document of a known version']
  }
  const listed = new Set(bom.components?.map(it => decodeURIComponent(it.purl?.split('?')[0] ?? '')))
  return packages.filter(it => !it.isDev && !listed.has(`pkg:npm/${it.name}@${it.version}`))
    .map(({ name, version }) => `${name}@${version} is not in it`)
}
