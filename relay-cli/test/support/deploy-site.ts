/** A site under load: processors of two generations as processes, and an API that is asked all the time. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import getPort from 'get-port'
import type { EventLog } from 'relay-event-log'
import { MINUTE_MS, type DeviceEvent } from 'relay-rollups'

import { openSite, send, spawnProcessor, type Site } from '../../../relay-processor/test/support/open-processor.ts'
import { readWindows, recompute } from '../../../relay-processor/test/support/recompute.ts'
import { until } from 'relay-test-support/until.ts'

const API_TOKEN = 'token-of-a-deployment'
const apiMain = fileURLToPath(new URL('../../../relay-api/src/main.ts', import.meta.url))
const faultyMain = fileURLToPath(new URL('faulty-processor.ts', import.meta.url))
/** so many that no minute of one has more readings than its row stores: duplicates in such minutes count */
const DEVICES = 400

export interface DeploySite {
  readonly site: Site
  readonly sent: DeviceEvent[]
  /** Stops the load. */
  stopLoad (): Promise<void>
  /** every answer of the API so far that was not 200 */
  readonly failures: unknown[]
  readonly answers: { count: number }
}

/** Starts a processor of generation blue, an API, load and questions. */
export async function openDeploySite (
  t: TestContext, kind: EventLog['kind'], { eventsPerSecond = 400 } = {}
): Promise<DeploySite | undefined> {
  const site = await openSite(t, kind, { JOURNAL_INTERVAL_S: '2' })
  if (!site) return undefined
  await spawnProcessor(t, site, { CONSUMER_INSTANCE_ID: 'blue-1' })
  await until('blue to have all partitions', async () =>
    (await site.database.query('select from progress')).length === 4)

  const ending = new AbortController()
  const sent: DeviceEvent[] = []
  const load = sendUntil(site, sent, eventsPerSecond, ending.signal)
  const { failures, answers, asking } = await askUntil(t, site, ending.signal)
  t.after(async () => {
    ending.abort()
    await Promise.all([load, asking])
  })
  return {
    site, sent, failures, answers, stopLoad: async () => { ending.abort(); await Promise.all([load, asking]) }
  }
}

/** Events of now; some late by hours or days, some sent again, some invalid. */
async function sendUntil (
  site: Site, sent: DeviceEvent[], eventsPerSecond: number, signal: AbortSignal
): Promise<void> {
  const perTick = Math.ceil(eventsPerSecond / 10)
  for (let n = 0; !signal.aborted;) {
    const events: DeviceEvent[] = []
    for (let i = 0; i < perTick; i++, n++) {
      const device = n % DEVICES
      const lateMs = n % 97 === 0 ? 50 * 3_600_000 : n % 31 === 0 ? 5 * MINUTE_MS : 0
      const event = n % 53 === 0 && sent.length > 0
        ? sent[(n * 7) % sent.length]
        : {
            deviceId: `device-${device}`,
            deviceType: ['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL'][device % 3],
            zone: `Zone ${'ABCD'[device % 4]}`,
            value: ((n * 37) % 1_000) / 10,
            timestampMs: Date.now() - lateMs
          }
      events.push(event)
    }
    sent.push(...events)
    await send(site, events)
    if (n % 5 === 0) await site.producer.send(site.config.EVENTS_TOPIC, [{ key: `device-${n % DEVICES}`, value: 'not JSON' }])
    await delay(100, undefined, { signal }).catch(() => {})
  }
}

async function askUntil (t: TestContext, site: Site, signal: AbortSignal) {
  const port = await getPort({ host: '127.0.0.1' })
  const api = spawn(process.execPath, [apiMain], {
    env: {
      ...process.env, ...site.environment, API_PORT: String(port), METRICS_PORT: '0', API_TOKENS: API_TOKEN
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc']
  })
  api.stdout!.resume()
  t.after(() => { api.kill('SIGKILL') })
  await Promise.race([
    once(api, 'message'), once(api, 'exit').then(() => { throw new Error('the API ended at its start') })
  ])
  const failures: unknown[] = []
  const answers = { count: 0 }
  const ask = async () => {
    const start = new Date(Date.now() - 3_600_000).toISOString()
    const end = new Date().toISOString()
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/aggregates?start=${start}&end=${end}&groupBy=zone`, {
      headers: { authorization: `Bearer ${API_TOKEN}` }
    })
    const text = await answer.text()
    if (answer.status === 200) answers.count++
    else failures.push(`${answer.status} ${text}`)
  }
  const asking = (async () => {
    while (!signal.aborted) {
      await ask().catch(error => failures.push(error))
      await delay(50, undefined, { signal }).catch(() => {})
    }
  })()
  return { failures, answers, asking }
}

/** an advisory lock: while a test has it, faulty processors wait between the dead letters and the rows of a flush */
export const FLUSH_LOCK = 394

export const GREEN = { PROCESSOR_GENERATION: 'green', CONSUMER_INSTANCE_ID: 'green-1' }

/** Starts a faulty processor of generation green, and starts it again whenever it ends, as a supervisor would. */
export async function superviseFaulty (t: TestContext, { site }: DeploySite, fault: string): Promise<void> {
  let isOver = false
  let child: ChildProcess
  const start = () => {
    child = spawn(process.execPath, [faultyMain], {
      env: { ...process.env, ...site.environment, ...GREEN, RELAY_TEST_FAULT: fault },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc']
    })
    child.stdout!.resume()
    child.once('exit', () => { if (!isOver) setTimeout(start, 500) })
  }
  start()
  t.after(() => {
    isOver = true
    child.kill('SIGKILL')
  })
  await reported(site, 'green')
}

/** Waits until a processor of a generation has reported itself. */
export async function reported ({ database }: Site, generation: string): Promise<void> {
  await until(`a processor of ${generation} to report itself`, async () => (await database.query(
    "select from programs where measured ->> 'generation' = $1", [generation])).length > 0)
}

/** Rows are, byte for byte, those of a site that was never deployed. */
export async function checkRows ({ site, sent }: DeploySite): Promise<void> {
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(sent)))
}
