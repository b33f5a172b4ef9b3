/** What a site must not do under attack, as seen from its machine: end, grow, fill, stand still. */
import { setTimeout as delay } from 'node:timers/promises'

import { isReady, type Observed, type Site } from './site.ts'

/** Bounds for every attack. Memory is resident, per process, including what it had before. */
export const bounds = {
  recoveryMs: 20_000,
  memoryMb: { api: 900, processor: 1_500, 'a backend of PostgreSQL': 400 } as Readonly<Record<string, number>>,
  /** most partitions of rollup tables, whatever was sent */
  partitions: 500,
  /** log of API and processor caused by unknown and careless clients: 0.1 MB/s is 8 GB per day */
  logBytes: 500_000,
  logBytesPerSecond: 100_000,
  /** longest time without an answer to a probe: then a restart is near */
  notReadyMs: 5_000
}

const LOOK_EVERY_MS = 700

export interface Seen {
  readonly before: Observed
  readonly after: Observed
  /** any broken promise */
  readonly broken: readonly string[]
}

export interface Watch {
  /** @returns the observations since the start */
  end (): Promise<Seen>
}

/** Observes memory and readiness until it ends. */
export async function watchSite (site: Site): Promise<Watch> {
  const before = await site.observe()
  const startedMs = performance.now()
  const largestMb: Record<string, number> = {}
  const ending = new AbortController()
  let notReadyMs = 0
  const watching = (async () => {
    while (!ending.signal.aborted) {
      const lookedMs = performance.now()
      const observed = await site.observe().catch(() => undefined)
      for (const [program, mb] of Object.entries(observed?.memoryMb ?? {})) {
        largestMb[program] = Math.max(largestMb[program] ?? 0, mb)
      }
      const ready = await Promise.all([isReady(site.apiPort), isReady(site.processorPort)])
      await delay(LOOK_EVERY_MS, undefined, { signal: ending.signal }).catch(() => {})
      if (ready.includes(false)) notReadyMs += performance.now() - lookedMs
    }
  })()
  return {
    async end () {
      ending.abort()
      await watching
      const after = await site.observe()
      const large = Object.entries(largestMb).filter(([program, mb]) => mb > bounds.memoryMb[program])
      return {
        before,
        after,
        broken: [
          ...large.map(([program, mb]) => `${program} had ${mb} MB; ${bounds.memoryMb[program]} are allowed`),
          ...notReadyMs > bounds.notReadyMs ? [`a program was not ready for ${(notReadyMs / 1_000).toFixed(1)} s`] : [],
          ...compare(before, after, performance.now() - startedMs)
        ]
      }
    }
  }
}

function compare (before: Observed, after: Observed, tookMs: number): string[] {
  const ended = Object.keys(before.pids).filter(it => before.pids[it] !== after.pids[it])
  const logBytes = after.logBytes - before.logBytes
  const logMax = bounds.logBytes + bounds.logBytesPerSecond * tookMs / 1_000
  return [
    ...ended.map(it => `${it} has ended: its process is another one`),
    ...after.ungranted > before.ungranted
      ? [`${after.ungranted - before.ungranted} series that were not granted are counted`]
      : [],
    ...after.partitions > bounds.partitions && after.partitions > before.partitions
      ? [`rollups have ${after.partitions} partitions, ${after.partitions - before.partitions} of them new; ${bounds.partitions} are allowed`]
      : [],
    ...logBytes > logMax ? [`${(logBytes / 1e6).toFixed(1)} MB of log`] : []
  ]
}
