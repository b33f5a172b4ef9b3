/**
 * A drill: under load a part of the site is destroyed, an operator follows the page, and everything is checked.
 *
 *     load ── prepare ── destroyed ── the page's commands ── caught up ── check of every row ── relay verify
 *                                     '---------- recovery -----------'
 */
import { Checker } from '../check.ts'
import { compareRollups, type Comparison } from '../compare.ts'
import { Recomputation } from '../recompute.ts'
import { readEnds, waitForHomes, waitForProgress } from '../site.ts'
import type { DrillSite } from './site.ts'

export interface Drill {
  /** name on the command line */
  readonly name: string
  /** description for people */
  readonly title: string
  /** What a careful site has done before. */
  prepare? (site: DrillSite): Promise<void>
  /** Destroys it. */
  destroy (site: DrillSite): Promise<void>
  /** What the operator does. */
  recover (site: DrillSite): Promise<void>
  /** The log has lost events. What devices sent is what counts, and they send it again after the first look. */
  readonly isLogLost?: true
  /** @returns age of the last commit that the database has of the time before, in ms; undefined: it lost nothing */
  lostCommitsMs? (site: DrillSite): Promise<number>
}

export interface DrillReport {
  readonly drill: string
  readonly title: string
  readonly date: string
  /** events that Kafka acknowledged */
  readonly events: number
  /** acknowledged events that are in no rollup, or that count twice, and other faults; all must be none */
  readonly lost: number
  readonly doubled: number
  readonly wrong: readonly string[]
  readonly rows: number
  /** acknowledged readings that were in no rollup before devices sent them again */
  readonly lostUnlessResent: number
  /** of what only the database has, commits of so much time are lost */
  readonly lostCommitsS: number
  /** duration of the operator's commands */
  readonly commandsS: number
  /** from the first command until all events sent by its end were in the rollups */
  readonly recoveredS: number
  /** what `relay verify` said */
  readonly verified: string
}

export async function runDrill (site: DrillSite, drill: Drill): Promise<DrillReport> {
  const checker: { check (): Promise<Checked> } = new Checker(site)
  site.load.resume()
  await site.moreCommits()
  await drill.prepare?.(site)
  await site.moreCommits()

  await drill.destroy(site)
  const startMs = performance.now()
  await drill.recover(site)
  const commandsS = (performance.now() - startMs) / 1_000
  await waitForProgress(site, await readEnds(site))
  const recoveredS = (performance.now() - startMs) / 1_000
  const lostCommitsS = (await drill.lostCommitsMs?.(site) ?? 0) / 1_000
  await site.moreCommits()

  const checked = await (drill.isLogLost ? checkSent(site) : checker.check())
  const { lost, doubled, wrong, rows, lostUnlessResent = 0 } = checked
  const verified = (await site.operator.follow('Check')).at(-1)!.trim().split('\n').at(-1)!
  return {
    drill: drill.name,
    title: drill.title,
    date: new Date().toISOString(),
    events: site.load.acknowledged,
    lost,
    doubled,
    wrong,
    rows,
    lostUnlessResent,
    lostCommitsS,
    commandsS,
    recoveredS,
    verified
  }
}

interface Checked extends Comparison { readonly lostUnlessResent?: number }

/** Holds the rollups against what the fleet has sent, before it sends it again and after. */
async function checkSent (site: DrillSite): Promise<Checked> {
  const expected = new Recomputation(site.rules)
  const compare = async () => {
    await waitForProgress(site, await readEnds(site))
    await waitForHomes(site)
    return await compareRollups(site.database, expected)
  }
  await site.load.pause()
  for (const [n, { value }] of site.sent.entries()) {
    expected.add(0, BigInt(n), value === null ? null : Buffer.from(value))
  }
  const { lost: lostUnlessResent } = await compare()
  await site.sendAgain()
  return { ...await compare(), lostUnlessResent }
}

export function hasFailed ({ lost, doubled, wrong }: DrillReport): boolean {
  return lost + doubled + wrong.length > 0
}
