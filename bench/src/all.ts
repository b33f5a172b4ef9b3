/** All benchmarks of `docs/performance.md`, one after the other. */
import { benchAccess } from './access.ts'
import { benchAccuracy } from './accuracy.ts'
import { benchApi } from './api.ts'
import { compressions } from './backlog.ts'
import { benchFreshness } from './freshness.ts'
import { benchIngest } from './ingest.ts'
import { benchLive } from './live.ts'
import { benchMemory } from './memory.ts'
import { benchPoison } from './poison.ts'
import { benchProcessor } from './processor.ts'
import { benchScaling } from './scaling.ts'
import { benchTracing } from './tracing.ts'

const backlog = { devices: 1_000, partitions: 8, streams: true, exactlyOnce: true }

/** As long as necessary for reliable figures: an hour on two cores. */
export async function benchAll ({ quick = false }: { quick?: boolean }): Promise<void> {
  const startedMs = performance.now()
  const repeats = quick ? 1 : 3
  const fleet = { intervalS: 1, late: 0, resent: 0, quick }
  const times = quick ? { warmUp: 5, seconds: 10, probeSeconds: 10 } : { warmUp: 180, seconds: 120, probeSeconds: 60 }
  for (const devices of quick ? [1_000] : [10_000, 50_000, 100_000]) await benchLive({ ...fleet, ...times, devices })
  await benchProcessor({ ...backlog, quick, repeats, events: quick ? 500_000 : 5_000_000, compression: ['none'] })
  await benchProcessor({
    ...backlog, exactlyOnce: false, quick, repeats, events: quick ? 200_000 : 2_000_000, compression: compressions
  })
  await benchScaling({ quick, repeats })
  await benchMemory({ quick, series: quick ? 5_000 : 20_000 })
  await benchFreshness({ quick, rate: 10_000, devices: 10_000, seconds: quick ? 10 : 60 })
  await benchPoison({ quick, records: quick ? 100_000 : 1_000_000 })
  const api = quick
    ? { devices: 20, seconds: 1, memorySeconds: 0 }
    : { devices: 1_000, seconds: 5, memorySeconds: 600 }
  await benchApi({ ...api, quick, repeats, days: 400, connections: 10 })
  await benchIngest({ quick, events: quick ? 5_000 : 50_000, repeats })
  await benchTracing({ quick, events: quick ? 300_000 : 3_000_000, repeats })
  await benchAccuracy({ quick })
  await benchAccess({ quick, credentials: quick ? 200 : 2_000, repeats: quick ? 1 : 5 })
  console.log(`all of it took ${Math.round((performance.now() - startedMs) / 1000)} s`)
}
