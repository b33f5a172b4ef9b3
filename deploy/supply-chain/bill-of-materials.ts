/**
 * The bill of materials of Relay in CycloneDX, by `npm sbom` from the lock file. Packages only for building and testing
 * are marked in it, because --omit=dev of npm would also omit packages that are used in both ways.
 */
import { execFileSync } from 'node:child_process'

import type { LockedPackage } from './lockfile.ts'

const BYTES_MAX = 64 * 1024 * 1024

export function makeBillOfMaterials (root: string): string {
  const args = ['sbom', '--sbom-format=cyclonedx', '--package-lock-only']
  return execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: BYTES_MAX })
}

/** The faults of a list, one per line. */
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
