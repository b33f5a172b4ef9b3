/** The query that the stack sends before it reports that it is up, and prints as a `curl`. */
import { setTimeout as delay } from 'node:timers/promises'

const HOUR_MS = 3_600_000
const ANSWER_TIMEOUT_MS = 60_000
/** After this time an incomplete answer is accepted. */
const COMPLETE_TIMEOUT_MS = 10_000
/** The hour ends slightly after now, so that there is an answer even without history. */
const AHEAD_MS = 10_000
const REQUEST_TIMEOUT_MS = 5_000
const POLL_MS = 50
/** Of an hour's readings: some may be on their way. */
const COMPLETE_SHARE = 0.99

export interface FirstQuery {
  readonly url: string
  readonly token: string
  /** readings of a complete answer; 0: any number */
  readonly expectedCount: number
}

/** A query on the last hour of a device. */
export function queryLastHour (
  apiPort: number, token: string, deviceId: string, expectedCount: number, nowMs: number
): FirstQuery {
  const endMs = Math.ceil(nowMs / 1_000) * 1_000 + AHEAD_MS
  const time = (timeMs: number) => new Date(timeMs).toISOString().replace('.000', '')
  const range = `startTime=${time(endMs - HOUR_MS)}&endTime=${time(endMs)}`
  return {
    url: `http://127.0.0.1:${apiPort}/api/events/device/${encodeURIComponent(deviceId)}?${range}`, token, expectedCount
  }
}

export const curlOf = ({ url, token }: FirstQuery) => `curl -H "Authorization: Bearer ${token}" "${url}"`

/** A command that sends one event, if no fleet does. */
export function sendingCurl (apiPort: number, token: string, deviceType: string, nowMs: number): string {
  const timestamp = new Date(nowMs).toISOString()
  const event = JSON.stringify({ deviceId: 'my-device', deviceType, zone: 'Zone A', value: 22.5, timestamp })
  return `curl -H "Authorization: Bearer ${token}" -H "Content-Type: application/json" -d '${event}' ` +
    `"http://127.0.0.1:${apiPort}/api/v1/events"`
}

/**
 * Waits until the API answers a query with complete data.
 * @returns the problem; undefined: none
 */
export async function waitForAnswer (query: FirstQuery, signal: AbortSignal): Promise<string | undefined> {
  let said = 'it is unreachable'
  const startMs = performance.now()
  let count = -1
  while (!signal.aborted) {
    const waitedMs = performance.now() - startMs
    if (count >= query.expectedCount * COMPLETE_SHARE) return undefined
    if (count >= 0 && waitedMs > COMPLETE_TIMEOUT_MS) return 'more of the history is being sent'
    if (waitedMs > ANSWER_TIMEOUT_MS) return `the API has no answer yet (${said}); see the logs`
    try {
      const response = await fetch(query.url, {
        headers: { authorization: `Bearer ${query.token}` },
        signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)])
      })
      const body = await response.json() as { count?: number, detail?: string }
      if (response.status === 200) count = body.count ?? 0
      else said = `${response.status}: ${body.detail}`
    } catch (error) {
      said = (error as Error).message
    }
    await delay(POLL_MS, undefined, { signal }).catch(() => {}) // stopped: the loop ends
  }
  return 'stopped'
}
