/** Whether all that Relay is built from may be used, changed and passed on, with no condition on anybody's own code. */
import type { LockedPackage } from './lockfile.ts'

/** SPDX identifiers of permissive licences. */
const permissive: ReadonlySet<string> = new Set([
  '0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC0-1.0', 'ISC', 'MIT', 'Python-2.0',
  'Unlicense', 'Zlib'
])

/**
 * Whether an SPDX expression leaves us a choice that is permissive. Expressions within expressions, and `WITH`, are for
 * a human to look at: they are refused.
 */
export function isPermissive (expression: string | undefined): boolean {
  const choices = (expression ?? '').replace(/^\((.*)\)$/, '$1').split(' OR ')
  if (choices.length > 1 && choices.some(it => it.includes(' AND '))) return false
  const isAllowed = (choice: string) => choice.split(' AND ').every(it => permissive.has(it))
  return choices.some(isAllowed)
}

/**
 * What asks to pass on changes of its own files alone: for tools of ours, which nobody is given, that is no condition.
 */
const ofTools: ReadonlySet<string> = new Set(['MPL-2.0'])

/** What is under another licence, or under none that it says: a line each. */
export function refusedLicences (packages: readonly LockedPackage[]): string[] {
  return packages.filter(it => !isPermissive(it.license) && !(it.isDev && ofTools.has(it.license ?? '')))
    .map(({ name, version, license }) => `${name}@${version} is under ${license ?? 'no declared licence'}`)
}
