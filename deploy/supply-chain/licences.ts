/** Checks that all dependencies may be used, changed and passed on, without conditions on anybody's own code. */
import type { LockedPackage } from './lockfile.ts'

/** SPDX identifiers of permissive licences. */
const permissive: ReadonlySet<string> = new Set([
  '0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC0-1.0', 'ISC', 'MIT', 'Python-2.0',
  'Unlicense', 'Zlib'
])

/**
 * Whether an SPDX expression allows a permissive choice. Nested expressions and `WITH` are refused, because a person
 * must look at them.
 */
export function isPermissive (expression: string | undefined): boolean {
  const choices = (expression ?? '').replace(/^\((.*)\)$/, '$1').split(' OR ')
  if (choices.length > 1 && choices.some(it => it.includes(' AND '))) return false
  const isAllowed = (choice: string) => choice.split(' AND ').every(it => permissive.has(it))
  return choices.some(isAllowed)
}

/**
 * Licences with conditions only for changes of their own files. For tools that we do not distribute, that is none.
 */
const ofTools: ReadonlySet<string> = new Set(['MPL-2.0'])

/** Dependencies with another licence, or without a stated one, one per line. */
export function refusedLicences (packages: readonly LockedPackage[]): string[] {
  return packages.filter(it => !isPermissive(it.license) && !(it.isDev && ofTools.has(it.license ?? '')))
    .map(({ name, version, license }) => `${name}@${version} is under ${license ?? 'no declared licence'}`)
}
