import { setTimeout as delay } from 'node:timers/promises'

import { until } from 'relay-test-support/until.ts'
import type { Fault } from '../fault.ts'
import type { SupervisedProcessor } from '../processors.ts'
import { readProgress, type Progress, type Site } from '../site.ts'

/** SIGTERM writes what is in memory, and ends the process, within this time. */
const EXIT_MAX_MS = 5_000
/** A restart must finish within its session, even on a busy machine. */
const PATIENT = { SESSION_TIMEOUT_MS: '60000' }

/**
 * Processors with stable names are restarted one after the other under load. Each gets its own partitions back, and no
 * other moves: a moved partition would be claimed, which shows in its epoch.
 */
export const rollingRestart: Fault = {
  name: 'rolling-restart',
  title: 'rolling restart of named processors (SIGTERM)',
  async happen (site, chance, span) {
    const { processors } = site
    const broken: string[] = []
    let times = 0
    let slowestMs = 0
    await nameAll(site)
    do {
      for (const processor of processors.all) {
        const before = await readProgress(site)
        const owned = ownedBy(processor, before)
        const { tookMs, exitCode } = await processor.stop()
        slowestMs = Math.max(slowestMs, tookMs)
        if (exitCode !== 0) broken.push(`${processor.name} ended with exit code ${exitCode} after SIGTERM`)
        if (tookMs > EXIT_MAX_MS) broken.push(`${processor.name} took ${Math.round(tookMs)} ms to end after SIGTERM`)
        await processor.start(true, PATIENT)
        times++
        let after = before
        await until(`${processor.name} to own its partitions ${owned.join(', ')} again`, async () => {
          after = await readProgress(site)
          return ownedBy(processor, after).length >= owned.length
        })
        const moved = [...before].filter(([partition, { epoch }]) =>
          !owned.includes(partition) && after.get(partition)!.epoch !== epoch).map(([partition]) => partition)
        if (moved.length > 0) {
          broken.push(`the restart of ${processor.name} moved partitions ${moved.join(', ')} of others`)
        }
        await delay(chance.between(200, 1_000))
      }
    } while (!span.isOver)
    return { times, broken, note: `slowest exit ${(slowestMs / 1_000).toFixed(1)} s, ${broken.length} promises broken` }
  }
}

/** Gives every processor its name, and waits until no partition moves. */
async function nameAll (site: Site): Promise<void> {
  const { processors } = site
  for (const it of processors.all) {
    await it.stop()
    await it.start(true, PATIENT)
  }
  await until('every processor to have its share of the partitions', async () => {
    const progress = await readProgress(site)
    const shares = processors.all.map(it => ownedBy(it, progress).length)
    return shares.reduce((sum, it) => sum + it, 0) === progress.size && Math.max(...shares) - Math.min(...shares) <= 1
  })
}

/** Partitions that a process has claimed last. */
function ownedBy ({ name, pid }: SupervisedProcessor, progress: ReadonlyMap<number, Progress>): number[] {
  return [...progress].filter(([, { owner }]) => owner === `${name}:${pid}`).map(([partition]) => partition)
}
