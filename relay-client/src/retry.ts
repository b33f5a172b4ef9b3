/**
 * A fetch that retries if that may help: the server said so (429, 503), or was unreachable.
 *
 *     wait before the n-th retry: Retry-After where the answer has one, else about 0.25 s, 0.5 s, 1 s …, up to 30 s
 *
 * Only requests that may be sent twice are: queries, and those with an `Idempotency-Key`. Any other request is retried
 * if the answer says that it had no effect, but not if there was no answer.
 */
export interface RetrySettings {
  /** number of retries; 0: none */
  readonly retriesMax: number
  /** longest wait, whatever the server requests: beyond that the caller gets the answer */
  readonly waitMaxMs: number
}

export const retryDefaults: RetrySettings = { retriesMax: 4, waitMaxMs: 30_000 }

const WAIT_FIRST_MS = 250

/** @param send sends a request; called with a new copy each time */
export function retrying (send: (request: Request) => Promise<Response>, settings: RetrySettings): (request: Request) =>
Promise<Response> {
  return async request => {
    const isSafe = request.method === 'GET' || request.method === 'HEAD' || request.headers.has('idempotency-key')
    for (let retry = 0; ; retry++) {
      const mayRetry = retry < settings.retriesMax
      let response: Response
      try {
        response = await send(mayRetry ? request.clone() : request)
      } catch (error) {
        // fetch throws a TypeError if there was no answer; an abort comes from the caller
        if (!(mayRetry && isSafe && error instanceof TypeError) || request.signal.aborted) throw error
        await wait(backoffMs(retry), request.signal)
        continue
      }
      if (!mayRetry || (response.status !== 429 && response.status !== 503)) return response
      const waitMs = retryAfterMs(response, Date.now()) ?? backoffMs(retry)
      if (waitMs > settings.waitMaxMs) return response
      await response.body?.cancel()
      await wait(waitMs, request.signal)
    }
  }
}

/** Doubles each time, with a random half, so that clients refused together do not retry together. */
function backoffMs (retry: number): number {
  return WAIT_FIRST_MS * 2 ** retry * (0.5 + Math.random() / 2)
}

/** https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3: seconds, or a date */
export function retryAfterMs (response: Response, nowMs: number): number | undefined {
  const text = response.headers.get('retry-after')
  if (text === null) return undefined
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs
  return Number.isNaN(waitMs) ? undefined : Math.max(waitMs, 0)
}

function wait (waitMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, waitMs)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
