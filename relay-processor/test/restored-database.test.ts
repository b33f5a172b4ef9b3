/** A processor survives a restore of its database: it continues from what is there, without anything from before. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import getPort from 'get-port'
import { createLogger, migrate, openDatabase } from 'relay-common'
import { openEventLog, type EventLog } from 'relay-event-log'
import type { DeviceEvent } from 'relay-rollups'

import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { openOwnServers } from 'relay-test-support/own-servers.ts'
import { until } from 'relay-test-support/until.ts'
import { readProcessorConfig } from '../src/config.ts'
import { startProcessor } from '../src/processor.ts'
import { encode, environmentOn, makeEvents } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const log = createLogger('test', 'silent')
const kinds: ReadonlyArray<EventLog['kind']> = ['postgres', 'kafka']

for (const kind of kinds) {
  test(`after a restore of its database a processor counts what the log has, and nothing else: ${kind}`, { timeout: 300_000 }, async t => {
    const kafka = kind === 'kafka' ? await openLocalKafka(t) : undefined
    if (kind === 'kafka' && !kafka) return
    const servers = await openOwnServers(t)
    const port = await getPort({ host: '127.0.0.1' })
    let server = await servers.start('data', port)
    const config = readProcessorConfig(environmentOn(server.url('postgres'), kind, kafka))
    const topic = config.EVENTS_TOPIC
    const database = await openDatabase(config, 'test', log)
    t.after(() => database.close())
    await migrate(database, log)
    const eventLog = await openEventLog(config, database, log)
    t.after(() => eventLog.close())
    const producer = await eventLog.openProducer()
    t.after(() => producer.close())
    const processor = await startProcessor(config, log)
    t.after(() => processor.close())
    let ended: unknown
    processor.done.catch(error => { ended = error })

    const send = (events: readonly DeviceEvent[]) =>
      producer.send(topic, events.map(it => ({ key: it.deviceId, value: encode(it) })))
    const untilCounted = async (events: readonly DeviceEvent[]) => {
      const expected = recompute(events)
      let windows = new Map<string, string>()
      await until(() => `${expected.size} windows; there are ${windows.size}; ${ended}`, async () => {
        windows = await readWindows(database).catch(() => new Map()) // it may still be down
        return windows.size === expected.size && [...expected].every(([name, bytes]) => windows.get(name) === bytes)
      })
    }
    const restart = async (change: () => Promise<void>) => {
      await server.close()
      await change()
      server = await servers.start('data', port)
    }
    const named = (prefix: string, events: readonly DeviceEvent[]) =>
      events.map(it => ({ ...it, deviceId: `${prefix}-${it.deviceId}` }))
    const [kept, later, last] = [
      named('a', makeEvents(100)), named('b', makeEvents(200, 2)), named('c', makeEvents(100, 3))
    ]

    await send(kept)
    await untilCounted(kept)
    await restart(() => servers.copy('data', 'copy'))
    await send(later)
    await untilCounted([...kept, ...later])
    await restart(() => servers.copy('copy', 'data'))
    // what the log still has is read again, without a new event
    const left = kind === 'kafka' ? [...kept, ...later] : kept
    await untilCounted(left)
    await send(last)
    await untilCounted([...left, ...last])
    assert.deepEqual(await database.query('select * from gaps'), [])
    assert.equal(ended, undefined)
  })
}
