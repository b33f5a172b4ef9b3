/**
 * Writes the table of attacks in `docs/security.md` from `hostile/results/hostile.json`, so that no figure is copied by
 * hand:
 *
 *     npm exec -- node docs/hostile.ts
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import type { AttackReport } from '../hostile/src/suite.ts'
import type { Spread } from '../hostile/src/latency.ts'

const begin = '<!-- Written by docs/hostile.ts: npm exec -- node docs/hostile.ts -->\n'
const end = '<!-- end of attacks -->'

interface Result {
  readonly date: string
  readonly machine: string
  readonly seed: number
  readonly eventLog: string
  readonly seconds: number
  readonly quiet: { readonly classes: Readonly<Record<string, Spread>> }
  readonly reports: readonly AttackReport[]
}

/** The table, as Markdown; nothing where there are no results yet. */
export function renderHostile (result = readResult()): string {
  if (result === undefined) return ''
  const kinds = [...Map.groupBy(result.reports, it => it.kind)]
  const rows = kinds.map(([kind, reports]) => {
    const who = [...new Set(reports.map(it => it.who))].join(', ')
    const failed = reports.filter(it => it.broken.length > 0).length
    const ratio = Math.max(...reports.map(it => it.ratio))
    const recovery = Math.max(...reports.map(it => it.recoverySeconds))
    return `| ${kind} | ${who} | ${reports.length} | ${sum(reports).toLocaleString('en')} | ${failed} | ${ratio.toFixed(1)} | ${recovery.toFixed(1)} s |`
  })
  const quiet = Object.entries(result.quiet.classes).map(([name, { p50, p99 }]) => `${name} ${p50.toFixed(1)} / ${p99.toFixed(1)} ms`).join(', ')
  const failed = result.reports.filter(it => it.broken.length > 0)
  return [
    '| kind | attackers | attacks | requests | succeeded | worst honest p99, times the quiet one | normal again after |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    `| all | | ${result.reports.length} | ${sum(result.reports).toLocaleString('en')} | ${failed.length} | ${Math.max(...result.reports.map(it => it.ratio)).toFixed(1)} | |`,
    '',
    `Measured ${result.date.slice(0, 10)} on ${result.machine}, events in ${result.eventLog}, seed ${result.seed}, in ${Math.round(result.seconds)} s. ` +
      `Quiet p50 / p99: ${quiet}.`,
    ...failed.length === 0 ? [] : ['', `These succeeded: ${failed.map(it => `\`${it.name}\``).join(', ')}.`],
    ''
  ].join('\n')
}

/** @param page docs/security.md @returns the page with the table as it has to be */
export function withHostile (page: string): string {
  const [before, rest] = page.split(begin)
  return `${before}${begin}${renderHostile()}${rest.slice(rest.indexOf(end))}`
}

function sum (reports: readonly AttackReport[]): number {
  return reports.reduce((all, it) => all + it.requests, 0)
}

function readResult (): Result | undefined {
  const file = new URL('../hostile/results/hostile.json', import.meta.url)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

if (import.meta.main) {
  const file = new URL('security.md', import.meta.url)
  writeFileSync(file, withHostile(readFileSync(file, 'utf8')))
}
