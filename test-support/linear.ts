import assert from 'node:assert/strict'

/** Twice the input may take so many times as long: between 2, which is linear, and 4, which is the square. */
const RATIO_MAX = 2.5
/** Two doublings are measured: memory comes in steps, and one of them may lie in between. */
const GROWTH = 4
/** A collection of garbage makes single runs long, and nothing makes them short: the shortest of several counts. */
const RUNS = 7
const ATTEMPTS = 5
/** Shorter runs say more of the clock than of the work: so many are taken together. */
const RUN_MS_MIN = 0.5

/**
 * Holds work to time of the CPU that grows with its input, and no faster. What else runs on the machine does not count.
 * @param what for the message
 * @param make makes the input of a size
 * @param work what is measured; it returns something, so that it is not left out
 * @param size of the smaller input
 */
export function assertLinear<T> (what: string, make: (size: number) => T, work: (input: T) => unknown, size = 8_192): void {
  const [small, large] = [make(size), make(GROWTH * size)]
  let kept: unknown
  const timeOf = (input: T, times: number) => {
    const before = process.cpuUsage() // of a thread alone, Linux knows it by ticks
    for (let n = 0; n < times; n++) kept = work(input)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1_000 / times
  }
  let times = 1
  while (timeOf(small, times) * times < RUN_MS_MIN) times *= 2
  const ratios: number[] = []
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    let smallMs = Infinity
    let largeMs = Infinity
    for (let run = 0; run < RUNS; run++) { // in turns: what slows one down slows the other
      smallMs = Math.min(smallMs, timeOf(small, times))
      largeMs = Math.min(largeMs, timeOf(large, Math.max(1, times / GROWTH)))
    }
    const ratio = (largeMs / smallMs) ** (1 / Math.log2(GROWTH))
    if (ratio <= RATIO_MAX) return
    ratios.push(ratio)
  }
  assert.fail(`${what}: twice of ${size} takes ${ratios.map(it => it.toFixed(2)).join(', ')} times as long (${typeof kept})`)
}
