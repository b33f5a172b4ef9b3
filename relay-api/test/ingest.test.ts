import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { gzipSync } from 'node:zlib'

import { countRecords, readEvents, readTopic } from '../../relay-simulator/test/support/event-logs.ts'
import { openTestApi } from './support/ask.ts'
import { authorization, eventOf, kinds, openIngestSite, type Answered } from './support/ingest-site.ts'

const limit = { timeout: 120_000 }

for (const kind of kinds) {
  suite(`sending events, on the ${kind} log`, limit, () => {
    test('one event, an array, lines, and all of them gzipped are in the log before the answer', async t => {
      await using site = await openIngestSite(t, kind)
      if (!site) return
      const events = Array.from({ length: 60 }, (_, n) => eventOf(n))
      const lines = { 'content-type': 'application/x-ndjson' }
      const gzipped = { 'content-encoding': 'gzip' }
      const array = (from: number, to: number) => JSON.stringify(events.slice(from, to), undefined, 2)
      const ndjson = (from: number, to: number) => events.slice(from, to).map(it => JSON.stringify(it)).join('\r\n\n')
      const bodies = [
        [JSON.stringify(events[0])],
        [array(1, 20)],
        [` ${ndjson(20, 30)}\n\n`, lines],
        [gzipSync(array(30, 50)), gzipped],
        [gzipSync(ndjson(50, 60)), { ...lines, ...gzipped }]
      ] as const
      for (const [body, headers] of bodies) {
        const { status, body: answer } = await site.post(body, headers)
        assert.equal(status, 202, JSON.stringify(answer))
        assert.deepEqual(answer.refused, [])
      }
      const stored = [...(await readEvents(site.log)).values()].flat()
      const expected = events.map(({ timestamp, ...rest }) => ({ ...rest, timestampMs: Date.parse(timestamp) }))
      const byTime = (a: { timestampMs: number }, b: { timestampMs: number }) => a.timestampMs - b.timestampMs
      assert.deepEqual(stored.sort(byTime), expected)
    })

    test('a 415 lists the accepted types and encodings, and a byte order mark is ignored', async t => {
      await using site = await openIngestSite(t, kind)
      if (!site) return
      for (const headers of [
        { 'content-type': 'text/csv' }, { 'content-encoding': 'zstd' }, { 'content-encoding': 'deflate' }
      ]) {
        const { status, headers: said } = await site.post(
          JSON.stringify(eventOf(0)), headers as unknown as Record<string, string>
        )
        assert.deepEqual([status, said.get('accept-post'), said.get('accept-encoding')],
          [415, 'application/json, application/x-ndjson', 'gzip, identity'])
      }
      const lines = [eventOf(1), eventOf(2)].map(it => JSON.stringify(it)).join('\r\n')
      const bodies = [
        [lines, 'application/x-ndjson'], [`[${lines.replace('\r\n', ',')}]`, 'application/json'],
        [JSON.stringify(eventOf(3)), 'application/json']
      ]
      for (const [body, type] of bodies) {
        const { status, body: answer } = await site.post(`\ufeff${body}`, { 'content-type': type })
        assert.equal(status, 202, JSON.stringify(answer))
      }
      const { body } = await site.post(`${lines}\n\ufeff${lines}`, { 'content-type': 'application/x-ndjson' })
      assert.deepEqual([body.accepted, body.refused.map((it: { reason: string }) => it.reason)], [3, ['not-json']])
    })

    test('refused events are listed with place and reason, and all others are accepted', async t => {
      await using site = await openIngestSite(t, kind)
      if (!site) return
      const items = [
        JSON.stringify(eventOf(0)), '{"deviceId":', JSON.stringify({ ...eventOf(1), zone: 7 }), 'null',
        JSON.stringify(eventOf(2, { timestamp: '2024-02-30T00:00:00Z' })), JSON.stringify(eventOf(3)),
        JSON.stringify(eventOf(4, { deviceType: 'TOASTER' }))
      ]
      const { status, body } = await site.post(items.join('\n'), { 'content-type': 'application/x-ndjson' })
      assert.equal(status, 207)
      assert.equal(body.accepted, 2)
      assert.deepEqual(body.refused.map((it: Record<string, unknown>) => [it.index, it.reason, it.field]), [
        [1, 'not-json', undefined], [2, 'field-type', 'zone'], [3, 'not-object', undefined],
        [4, 'timestamp-invalid', 'timestamp'], [6, 'device-type-unknown', 'deviceType']
      ])
      const values = (await readTopic(site.log)).map(it => String(it.value)).sort()
      assert.deepEqual(values, [items[0], items[5]].sort()) // unchanged, to the byte
    })

    test('events past the retention of every level are refused, with the reason of the processor', async t => {
      const tenYears = { RETENTION_MINUTE_DAYS: '30', RETENTION_HOUR_DAYS: '365', RETENTION_DAY_DAYS: '3653' }
      await using site = await openIngestSite(t, kind, tenYears)
      if (!site) return
      const { status, body } = await site.post(JSON.stringify([
        eventOf(0), eventOf(1, { timestamp: '1999-12-31T00:00:00Z' })
      ]))
      assert.deepEqual([status, body.accepted, body.refused.length], [207, 1, 1])
      assert.deepEqual(
        [body.refused[0].index, body.refused[0].reason, body.refused[0].field], [1, 'too-old', 'timestamp']
      )
      assert.equal(await countRecords(site.log), 1)
    })

    test('a repeated Idempotency-Key gets the same answer and sends nothing', async t => {
      await using site = await openIngestSite(t, kind)
      if (!site) return
      const body = JSON.stringify([eventOf(1), { deviceId: 'broken' }, eventOf(2)])
      const key = { 'idempotency-key': 'batch 17' }
      const first = await site.post(body, key)
      const again = await site.post(body, key)
      assert.deepEqual([first.status, again.status], [207, 207])
      assert.deepEqual(again.body, first.body)
      assert.deepEqual(
        [first, again].map(it => it.headers.get('idempotency-replayed')), [null, 'true'])
      assert.equal(await countRecords(site.log), 2)

      const other = await site.post(JSON.stringify([eventOf(3)]), key)
      assert.deepEqual([other.status, other.body.code], [422, 'RELAY_IDEMPOTENCY_KEY_REUSED'])
      assert.equal(await countRecords(site.log), 2)
    })

    test('of many parallel requests with one key, one sends; the others get the same answer, or must wait', async t => {
      await using site = await openIngestSite(t, kind)
      if (!site) return
      const body = JSON.stringify(Array.from({ length: 50 }, (_, n) => eventOf(n)))
      const send = () => site.post(body, { 'idempotency-key': 'k' })
      const answers = await Promise.all(Array.from({ length: 12 }, send))
      for (const { status, body, headers } of answers) {
        if (status === 202) continue
        assert.deepEqual([status, body.code], [409, 'RELAY_IDEMPOTENCY_KEY_IN_USE'])
        assert.ok(Number(headers.get('retry-after')) > 0)
      }
      assert.ok(answers.some(it => it.status === 202))
      assert.equal(await countRecords(site.log), 50)
    })

    test('many small parallel requests are all in the log, in order per device', async t => {
      await using site = await openIngestSite(t, kind)
      if (!site) return
      const device = async (id: number) => {
        for (let n = 0; n < 15; n++) {
          const answered: Answered = await site.post(JSON.stringify(eventOf(n, { deviceId: `d${id}`, value: n })))
          assert.equal(answered.status, 202)
        }
      }
      await Promise.all(Array.from({ length: 20 }, (_, id) => device(id)))
      const stored = await readEvents(site.log)
      assert.equal(stored.size, 20)
      for (const events of stored.values()) assert.deepEqual(events.map(it => it.value), [...Array(15).keys()])
    })
  })
}

test('a body that can\'t be split into events is refused as a whole', limit, async t => {
  await using site = await openIngestSite(t, 'postgres', { INGEST_EVENTS_MAX: '3', INGEST_BODY_MAX_BYTES: '2000' })
  if (!site) return
  const event = JSON.stringify(eventOf(0))
  const json = { 'content-type': 'application/json' }
  const cases: Array<[string | Uint8Array, Record<string, string>, number, string]> = [
    ['', json, 400, 'RELAY_REQUEST_INVALID'], // a lost body: a client without events sends []
    [`[${event}`, json, 400, 'RELAY_REQUEST_INVALID'],
    [`[${event},]`, json, 400, 'RELAY_REQUEST_INVALID'],
    [`[${event}}]`, json, 400, 'RELAY_REQUEST_INVALID'],
    [`[${event}] ${event}`, json, 400, 'RELAY_REQUEST_INVALID'],
    [`[${event.slice(0, -20)}]`, json, 400, 'RELAY_REQUEST_INVALID'], // an unclosed quote
    [`[${Array(4).fill(event)}]`, json, 413, 'RELAY_BODY_TOO_LARGE'],
    [Array(4).fill(event).join('\n'), { 'content-type': 'application/x-ndjson' }, 413, 'RELAY_BODY_TOO_LARGE'],
    [event.padEnd(2001), json, 413, 'RELAY_BODY_TOO_LARGE'],
    [event, { 'content-type': 'text/plain' }, 415, 'RELAY_MEDIA_TYPE_UNKNOWN'],
    [event, { 'content-type': 'application/json; charset=latin1' }, 415, 'RELAY_MEDIA_TYPE_UNKNOWN'],
    [event, { ...json, 'content-encoding': 'br' }, 415, 'RELAY_MEDIA_TYPE_UNKNOWN'],
    [event, { ...json, 'content-encoding': 'gzip' }, 400, 'RELAY_REQUEST_INVALID'],
    [gzipSync(event).subarray(0, 60), { ...json, 'content-encoding': 'gzip' }, 400, 'RELAY_REQUEST_INVALID'],
    [event, { ...json, 'idempotency-key': 'k'.repeat(256) }, 400, 'RELAY_PARAMETER_INVALID'],
    ['{}', json, 422, 'RELAY_EVENTS_REFUSED']
  ]
  for (const [body, headers, status, code] of cases) {
    const answered = await site.post(body, headers)
    assert.deepEqual(
      [answered.status, answered.body.code], [status, code], `${String(body).slice(0, 60)} ${answered.body.detail}`
    )
  }
  const none = await site.post(JSON.stringify([{}, 1]))
  assert.deepEqual([none.body.accepted, none.body.refused.length, none.body.status], [0, 2, 422])
  assert.match(none.headers.get('content-type')!, /^application\/problem\+json/)
  assert.equal(await countRecords(site.log), 0)
  assert.equal((await site.post(`[${Array(3).fill(event)}]`)).status, 202)
})

test('a gzip bomb is refused at the limit, without using memory', limit, async t => {
  await using site = await openIngestSite(t, 'postgres', { INGEST_BODY_MAX_BYTES: '1000000' })
  if (!site) return
  const bomb = gzipSync(Buffer.alloc(200_000_000, ' '), { level: 9 })
  const before = process.memoryUsage().arrayBuffers
  const { status, body } = await site.post(bomb, { 'content-encoding': 'gzip' })
  assert.deepEqual([status, body.code], [413, 'RELAY_BODY_TOO_LARGE'])
  assert.ok(process.memoryUsage().arrayBuffers - before < 50_000_000)
})

test('unknown callers may not send, an API without an event log accepts nothing, and there is no GET', limit, async t => {
  const { app, ask } = await openTestApi(t)
  const send = async (headers: Record<string, string>) => {
    const { statusCode, body } = await app.inject(
      {
        url: '/api/v1/events', method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '[]'
      })
    return [statusCode, JSON.parse(body).code]
  }
  assert.deepEqual(await send({}), [401, 'RELAY_UNAUTHORIZED'])
  assert.deepEqual(await send({ authorization }), [503, 'RELAY_INGEST_OFF'])
  const got = await ask('/api/v1/events')
  assert.deepEqual([got.status, got.headers.allow], [405, 'POST'])
})
