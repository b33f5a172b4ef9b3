import assert from 'node:assert/strict'

/** Largest allowed ratio of times for twice the input: between 2 (linear) and 4 (quadratic). */
const RATIO_MAX = 2.5
/** Two doublings are measured, because memory grows in steps, and one may lie in between. */
const GROWTH = 4
/** Garbage collection makes single runs longer, and nothing makes them shorter, so the shortest of several counts. */
const RUNS = 7
const ATTEMPTS = 5
/** Shorter runs measure the clock instead of the work, so several are combined. */
const RUN_MS_MIN = 0.5

/**
 * Checks that the CPU time of work grows linearly with its input. Other programs on the machine do not matter.
 * @param what for the message
 * @param make creates the input of a size
 * @param work what is measured; it returns something, so that it is not optimised away
 * @param size of the smaller input
 */
export function assertLinear<T> (
  what: string, make: (size: number) => T, work: (input: T) => unknown, size = 8_192
): void {
  const [small, large] = [make(size), make(GROWTH * size)]
  let kept: unknown
  const timeOf = (input: T, times: number) => {
    const before = process.cpuUsage() // for a single thread Linux counts in ticks
    for (let n = 0; n < times; n++) kept = work(input)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1_000 / times
  }
  const shortest = (input: T, times: number) => Math.min(...Array.from({ length: RUNS }, () => timeOf(input, times)))
  let times = 1
  while (shortest(small, times) * times < RUN_MS_MIN) times *= 2 // the clock may also count the compiler
  const ratios: number[] = []
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    let smallMs = Infinity
    let largeMs = Infinity
    for (let run = 0; run < RUNS; run++) { // alternating, so that a slow phase affects both
      smallMs = Math.min(smallMs, timeOf(small, times))
      largeMs = Math.min(largeMs, timeOf(large, Math.max(1, times / GROWTH)))
    }
    const ratio = (largeMs / smallMs) ** (1 / Math.log2(GROWTH))
    if (ratio <= RATIO_MAX) return
    ratios.push(ratio)
  }
  assert.fail(
    `${what}: twice of ${size} takes ${ratios.map(it => it.toFixed(2)).join(', ')} times as long (${typeof kept})`
  )
}
