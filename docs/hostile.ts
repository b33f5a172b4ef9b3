/**
 * Writes the table of attacks in `docs/security.md` from `hostile/results/hostile.json`, so that no figure is copied by
 * hand:
 *
 *     npm exec -- node docs/hostile.ts
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import type { Spreads } from '../hostile/src/judge.ts'
import type { AttackReport } from '../hostile/src/suite.ts'

const begin = '<!-- Written by docs/hostile.ts: npm exec -- node docs/hostile.ts -->\n'
const end = '<!-- end of attacks -->'

interface Result {
  readonly date: string
  readonly machine: string
  readonly seed: number
  readonly eventLog: string
  readonly floorMs: number
  readonly seconds: number
  readonly quiet: { readonly classes: Spreads }
  readonly reports: readonly AttackReport[]
}

/** The table, as Markdown; empty without results. */
export function renderHostile (result = readResult()): string {
  if (result === undefined) return ''
  const { reports, quiet } = result
  const rows = [...Map.groupBy(reports, it => it.kind)].map(([kind, made]) => {
    const who = [...new Set(made.map(it => it.who))].join(', ')
    return rowOf(kind, who, made)
  })
  const succeeded = reports.filter(it => it.broken.length > 0)
  const again = reports.filter(it => it.tries > 1).length
  const { p50, p99 } = quiet.classes.all
  return [
    '| kind | attackers | attacks | requests | succeeded | worst honest p99 | times the quiet one | normal ' +
      'again after |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    rowOf('all', '', reports),
    '',
    `Measured ${result.date.slice(0, 10)} on ${result.machine}, events in ${result.eventLog}, seed ${result.seed}, in ` +
      `${Math.round(result.seconds)} s. Quiet p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms; a p99 of up to ` +
      `${result.floorMs} ms was allowed. Attacks made again: ${again}.`,
    ...succeeded.length === 0 ? [] : ['', `These succeeded: ${succeeded.map(it => `\`${it.name}\``).join(', ')}.`],
    ''
  ].join('\n')
}

function rowOf (kind: string, who: string, reports: readonly AttackReport[]): string {
  const requests = reports.reduce((all, it) => all + it.requests, 0).toLocaleString('en')
  const succeeded = reports.filter(it => it.broken.length > 0).length
  const worst = (of: (it: AttackReport) => number) => Math.max(...reports.map(of))
  const p99 = `${worst(it => it.honest.all.p99).toFixed(0)} ms`
  const recovery = `${worst(it => it.recoverySeconds).toFixed(1)} s`
  return `| ${[kind, who, reports.length, requests, succeeded, p99, worst(it => it.ratio).toFixed(1), recovery].join(' | ')} |`
}

/** @param page docs/security.md @returns the page with the current table */
export function withHostile (page: string): string {
  const [before, rest] = page.split(begin)
  return `${before}${begin}${renderHostile()}${rest.slice(rest.indexOf(end))}`
}

function readResult (): Result | undefined {
  const file = new URL('../hostile/results/hostile.json', import.meta.url)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

if (import.meta.main) {
  const file = new URL('security.md', import.meta.url)
  writeFileSync(file, withHostile(readFileSync(file, 'utf8')))
}
