/** Sends requests as fast as they are answered, or at a steady rate, and measures latency. */
import autocannon from 'autocannon'

export interface Load {
  readonly url: string
  readonly headers: Record<string, string>
  /** requested in rotation */
  readonly paths: readonly string[]
  readonly connections: number
  readonly seconds: number
  /** requests/s over all connections; left out: as many as are answered */
  readonly rate?: number
}

export interface LoadResult {
  readonly requestsPerSecond: number
  /** in ms, from the request on the wire to the end of its answer */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** answers other than 200, and requests without one */
  readonly errors: number
}

export async function putLoad ({ url, headers, paths, connections, seconds, rate }: Load): Promise<LoadResult> {
  const timesMs: number[] = []
  let isDone = false
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const running = autocannon({
      url, connections, duration: seconds, headers, overallRate: rate, requests: paths.map(path => ({ path }))
    }, (error, result) => {
      isDone = true
      if (error) reject(error)
      else resolve(result)
    })
    // its own histogram counts whole milliseconds, which most answers do not reach
    running.on('response', (_client, _status, _bytes, timeMs) => { if (!isDone) timesMs.push(timeMs) })
  })
  const sorted = Float64Array.from(timesMs).sort()
  const at = (share: number) => sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)]
  return {
    requestsPerSecond: timesMs.length / result.duration,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    errors: result.errors + result.timeouts + result.non2xx
  }
}
