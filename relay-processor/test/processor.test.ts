import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { createLogger } from 'relay-common'
import { startProcessor } from '../src/processor.ts'
import { encode, makeEvents, openSite, send, settled, spawnProcessor, until } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const log = createLogger('test', 'silent')

for (const kind of ['kafka', 'postgres'] as const) {
  describe(`the processor on the ${kind} log`, () => {
    test('every window equals a straightforward computation, over several processors and a restart', async t => {
      const site = await openSite(t, kind)
      if (!site) return
      const events = makeEvents(4_000)
      const first = await startProcessor(site.config, log)
      await send(site, events.slice(0, 1_500))
      await settled(site)
      const second = await startProcessor(site.config, log)
      await send(site, events.slice(1_500, 3_000))
      await first.close()
      await send(site, events.slice(3_000))
      await settled(site)
      await second.close()
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
    })

    test('a killed processor loses nothing and counts nothing twice', async t => {
      const site = await openSite(t, kind)
      if (!site) return
      const events = makeEvents(20_000, 7)
      const batches = Array.from({ length: 20 }, (_, n) => events.slice(n * 1_000, (n + 1) * 1_000))
      let processor = await spawnProcessor(t, site)
      for (const [n, batch] of batches.entries()) {
        await send(site, batch)
        if (n % 6 === 3) {
          processor.kill('SIGKILL')
          processor = await spawnProcessor(t, site)
        }
      }
      await settled(site)
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
    })

    test('what is no event goes to the dead letters, as it came and with the reason, and stops nothing', async t => {
      const site = await openSite(t, kind)
      if (!site) return
      const events = makeEvents(50)
      const poison: Array<[reason: string, field: string | undefined, value: string | Buffer | null]> = [
        ['not-json', undefined, '{"deviceId":"x"'],
        ['not-utf8', undefined, Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
        ['record-empty', undefined, null],
        ['field-missing', 'zone', '{"deviceId":"x","deviceType":"THERMOSTAT","value":1,"timestamp":"2024-01-01T00:00:00Z"}'],
        ['device-type-unknown', 'deviceType', encode({ ...events[0], deviceType: 'TOASTER' })],
        ['value-not-finite', 'value', encode(events[0]).replace(/"value":[^,]+/, '"value":1e999')],
        ['timestamp-future', 'timestamp', encode({ ...events[0], timestampMs: Date.now() + 3_600_000 })],
        ['oversized', undefined, 'x'.repeat(70_000)]
      ]
      const processor = await startProcessor(site.config, log)
      await send(site, events.slice(0, 25))
      await site.producer.send(site.config.EVENTS_TOPIC, poison.map(([reason, , value]) => ({ key: reason, value })))
      await send(site, events.slice(25))
      await settled(site)
      await processor.close()

      const letters = await readDeadLetters(site, poison.length)
      for (const [reason, field, value] of poison) {
        const letter = letters.find(it => it.headers['relay-reason'] === reason)
        assert.ok(letter, reason)
        assert.deepEqual(letter.value, value === null ? null : Buffer.from(value), reason)
        assert.equal(letter.key?.toString(), reason)
        assert.equal(letter.headers['relay-field'], field)
        assert.equal(letter.headers['relay-source-topic'], site.config.EVENTS_TOPIC)
        assert.match(letter.headers['relay-source-offset'], /^\d+$/)
      }
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
    })

    test('SIGTERM ends a processor at work with exit 0, and what it had is there or read again', async t => {
      const site = await openSite(t, kind)
      if (!site) return
      const processor = await spawnProcessor(t, site, { FLUSH_INTERVAL_MS: '3000', FLUSH_INTERVAL_MAX_MS: '3000' })
      const events = makeEvents(3_000)
      await send(site, events.slice(0, 1_500))
      await settled(site)
      await send(site, events.slice(1_500))
      const exit = new Promise<number | null>(resolve => processor.once('exit', resolve))
      processor.kill('SIGTERM')
      assert.equal(await exit, 0)

      const again = await startProcessor(site.config, log)
      await settled(site)
      await again.close()
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
    })
  })
}

interface Letter { key: Buffer | null, value: Buffer | null, headers: Record<string, string> }

/** Reads the topic of the dead letters, with a consumer that shows headers: each log has its own way. */
async function readDeadLetters (site: NonNullable<Awaited<ReturnType<typeof openSite>>>, count: number): Promise<Letter[]> {
  if (site.eventLog.kind === 'postgres') {
    const rows = await site.database.query<{ key: Buffer | null, value: Buffer | null, headers: Record<string, string> }>(
      'select key, value, headers from event_log where topic = $1',
      [site.config.DEAD_LETTERS_TOPIC])
    assert.equal(rows.length, count)
    return rows
  }
  const { Consumer } = await import('@platformatic/kafka')
  const consumer = new Consumer({ clientId: 'test', groupId: `letters-${site.config.EVENTS_TOPIC}`, bootstrapBrokers: [site.config.KAFKA_BOOTSTRAP_SERVERS!] })
  const letters: Letter[] = []
  try {
    const stream = await consumer.consume({ topics: [site.config.DEAD_LETTERS_TOPIC], mode: 'earliest', autocommit: false })
    stream.on('data', ({ key, value, headers }) => {
      letters.push({ key: key ?? null, value: value ?? null, headers: Object.fromEntries([...headers].map(([name, it]) => [String(name), String(it)])) })
    })
    await until('the dead letters', async () => letters.length >= count)
    assert.equal(letters.length, count)
    return letters
  } finally {
    await consumer.close(true)
  }
}
