/** Everything that `docs/performance.md` shows, one after the other. */
import { compressions } from './backlog.ts'
import { benchFreshness } from './freshness.ts'
import { benchMemory } from './memory.ts'
import { benchPoison } from './poison.ts'
import { benchProcessor } from './processor.ts'
import { benchScaling } from './scaling.ts'

const backlog = { devices: 1_000, partitions: 8, streams: true }

/** As long as it takes for figures that hold, and no longer: a quarter of an hour on two cores. */
export async function benchAll ({ quick = false }: { quick?: boolean }): Promise<void> {
  const startedMs = performance.now()
  const repeats = quick ? 1 : 3
  await benchProcessor({ ...backlog, quick, repeats, events: quick ? 500_000 : 5_000_000, compression: ['none'] })
  await benchProcessor({ ...backlog, quick, repeats, events: quick ? 200_000 : 2_000_000, compression: compressions })
  await benchScaling({ quick, repeats: 1 })
  await benchMemory({ quick, series: quick ? 5_000 : 20_000 })
  await benchFreshness({ quick, rate: 10_000, devices: 10_000, seconds: quick ? 10 : 60 })
  await benchPoison({ quick, records: quick ? 100_000 : 1_000_000 })
  console.log(`all of it took ${Math.round((performance.now() - startedMs) / 1000)} s`)
}
