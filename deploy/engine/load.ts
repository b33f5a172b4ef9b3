/**
 * Events of a fleet of the test's own, sent by the API while containers die, each until it is accepted; and what a plain count
 * says of them.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { WELL_KNOWN_TOKEN } from 'relay-common'

const DEVICES = 200
const EVENTS_PER_REQUEST = 500
const PAUSE_MS = 150
const REQUEST_TIMEOUT_MS = 15_000
const LATE_DAYS = 10
const DAY_MS = 86_400_000

export interface Load {
  /** accepted, each counted once */
  readonly sent: { readonly count: number, readonly sum: number }
  /** requests that failed, and were sent again */
  readonly failed: readonly string[]
  /** Stops after what is in hand is accepted. */
  stop (): Promise<void>
}

/**
 * @param startMs the first event's time; each further one is a millisecond later, and every tenth ten days older
 */
export function startLoad (port: number, zone: string, startMs: number): Load {
  const stopping = new AbortController()
  const sent = { count: 0, sum: 0 }
  const failed: string[] = []
  let next = 0

  const makeBatch = () => Array.from({ length: EVENTS_PER_REQUEST }, () => {
    const n = next++
    const timestamp = new Date(startMs + n - (n % 10 === 0 ? LATE_DAYS * DAY_MS : 0)).toISOString()
    return { deviceId: `${zone}-${n % DEVICES}`, deviceType: 'THERMOSTAT', zone, value: n % 97, timestamp }
  })

  const post = async (events: readonly object[]): Promise<boolean> => {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${WELL_KNOWN_TOKEN}`, 'content-type': 'application/json' },
        body: JSON.stringify(events),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS)
      })
      const body = await response.text()
      if (response.status === 200 || response.status === 202) return true
      failed.push(`${response.status}: ${body.slice(0, 300)}`)
    } catch (error) {
      failed.push(String((error as Error).cause ?? error))
    }
    return false
  }

  const sending = (async () => {
    while (!stopping.signal.aborted) {
      const events = makeBatch()
      while (!await post(events)) await delay(200) // a reading that is sent again counts once
      for (const { value } of events) {
        sent.count++
        sent.sum += value
      }
      await delay(PAUSE_MS)
    }
  })()
  return { sent, failed, stop: async () => { stopping.abort(); await sending } }
}
