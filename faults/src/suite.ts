/**
 * The suite: one kind of fault after the other, under load, each followed by all checks.
 *
 *     load resumes ──▶ fault happens, and happens … ──▶ healed ──▶ caught up ──▶ load pauses ──▶ check
 *                                                         └── recovery ──┘
 */
import { Chance } from 'relay-test-support/chance.ts'
import { until } from 'relay-test-support/until.ts'
import { Checker, type CheckResult } from './check.ts'
import type { Fault } from './fault.ts'
import { readEnds, readProgress, waitForProgress, type Site } from './site.ts'

export interface FaultReport extends CheckResult {
  readonly fault: string
  readonly title: string
  readonly times: number
  readonly note: string
  /** time from the end of the last fault until everything sent by then was in the rollups */
  readonly recoverySeconds: number
  /** events acknowledged by the topic during this fault */
  readonly acknowledged: number
  /** events that were resent after a failure */
  readonly resent: number
  /** processors that ended unexpectedly; they were restarted */
  readonly ownEnds: readonly string[]
}

/** Whether a report contains lost, doubled or otherwise wrong events. */
export function hasFailed ({ lost, doubled, wrong }: FaultReport): boolean {
  return lost + doubled + wrong.length > 0
}

/**
 * Runs faults, one kind after the other.
 * @param spanMs duration of each kind
 * @param report called after the check of each kind
 */
export async function runFaults (
  site: Site, faults: readonly Fault[], seed: number, spanMs: number, report: (report: FaultReport) => void
): Promise<void> {
  const checker = new Checker(site)
  for (const [n, fault] of faults.entries()) {
    const { load } = site
    const acknowledgedBefore = load.acknowledged
    const resentBefore = load.resent
    const endsBefore = site.ownEnds.length
    load.resume()
    await underWay(site)

    const untilMs = performance.now() + spanMs
    const span = { get isOver () { return performance.now() >= untilMs } }
    const outcome = await fault.happen(site, new Chance(seed + 1_000 * (n + 1)), span)
    const healedMs = performance.now()
    await waitForProgress(site, await readEnds(site))
    const recoverySeconds = (performance.now() - healedMs) / 1_000

    const result = await checker.check()
    report({
      fault: fault.name,
      title: fault.title,
      ...result,
      wrong: [...outcome.broken ?? [], ...result.wrong],
      times: outcome.times,
      note: outcome.note ?? '',
      recoverySeconds,
      acknowledged: load.acknowledged - acknowledgedBefore,
      resent: load.resent - resentBefore,
      ownEnds: site.ownEnds.slice(endsBefore)
    })
  }
}

/** Waits until processors are working, so that faults happen under load. */
async function underWay (site: Site): Promise<void> {
  const total = async () => [...(await readProgress(site)).values()].reduce((sum, it) => sum + it.next_offset, 0n)
  const before = await total()
  await until('processors to be at work', async () => await total() > before)
}
