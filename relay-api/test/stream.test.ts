import assert from 'node:assert/strict'
import { test } from 'node:test'

import { until } from 'relay-test-support/until.ts'
import { openTestApi } from './support/ask.ts'
import { authorization, eventOf } from './support/ingest-site.ts'
import { listen, openStreamSite, type Listening } from './support/stream-site.ts'

const limit = { timeout: 120_000 }
const at = (seconds: number) => new Date(Date.UTC(2024, 0, 1) + seconds * 1000).toISOString()

test('a bucket is sent in its current state, whenever it has changed', limit, async t => {
  await using site = await openStreamSite(t)
  const client = await site.listen('?device=d1')
  await site.send(eventOf(0, { deviceId: 'd1', value: 4 }), eventOf(1, { deviceId: 'd1', value: 1 }))
  await until('two readings', () => client.buckets.get(at(0))?.count === 2)
  await site.send(eventOf(2, { deviceId: 'd1', value: 2.5 }), eventOf(3, { deviceId: 'other' }))
  await until('three readings', () => client.buckets.get(at(0))?.count === 3)
  assert.deepEqual(client.buckets.get(at(0)), {
    bucketStart: at(0),
    bucketEnd: at(60),
    count: 3,
    sum: 7.5,
    avg: 2.5,
    min: 1,
    max: 4,
    median: 2.5,
    medianError: 0,
    last: 2.5,
    lastTime: at(2)
  })
})

test('a client gets its selection, in its groups and intervals, and nothing else', limit, async t => {
  await using site = await openStreamSite(t)
  const clients = {
    zone: await site.listen('?zone=Zone%20A&interval=1h'),
    zones: await site.listen('?groupBy=zone&interval=1d'),
    devices: await site.listen('?type=CAR_FUEL&groupBy=device'),
    two: await site.listen('?device=d1&device=d3'),
    all: await site.listen()
  }
  await site.send(
    eventOf(0, { deviceId: 'd1', zone: 'Zone A', value: 1 }), eventOf(1, { deviceId: 'd2', zone: 'Zone B', value: 2 }),
    eventOf(2, { deviceId: 'd3', zone: 'Zone A', value: 3, deviceType: 'CAR_FUEL' }),
    eventOf(3, { deviceId: 'd4', zone: 'Zone C', value: 4, deviceType: 'CAR_FUEL' }))
  await until('all of it', () => clients.all.buckets.get(at(0))?.count === 4)
  const seen = (name: keyof typeof clients) =>
    [...clients[name].buckets].map(([bucket, it]) => [bucket, it.count, it.sum]).sort()
  const expected = {
    zone: [[at(0), 2, 4]],
    zones: [[`${at(0)} Zone A`, 2, 4], [`${at(0)} Zone B`, 1, 2], [`${at(0)} Zone C`, 1, 4]],
    devices: [[`${at(0)} d3`, 1, 3], [`${at(0)} d4`, 1, 4]],
    two: [[at(0), 2, 4]],
    all: [[at(0), 4, 10]]
  }
  const names = Object.keys(expected) as Array<keyof typeof expected>
  await until(() => JSON.stringify(names.map(seen)),
    () => names.every(it => JSON.stringify(seen(it)) === JSON.stringify(expected[it])))
  assert.equal((await site.listen('?device=d9')).of('rollup').length, 0)
})

test('a caller gets the zones and devices that it may see, and no others, for any query', limit, async t => {
  await using site = await openStreamSite(t)
  const keyFor = async (grants: object) => {
    const made = await fetch(`${site.url}/api/v1/keys`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'listener', scopes: ['events:read'], ...grants })
    })
    return `Bearer ${(await made.json() as { key: string }).key}`
  }
  await using closing = new AsyncDisposableStack()
  const listenAs = async (grants: object, query: string) =>
    closing.adopt(await listen(site.url, query, undefined, await keyFor(grants)), async it => it.close())
  const ofZone = await listenAs({ zones: ['Zone A'] }, '?groupBy=zone')
  const ofDevices = await listenAs({ devicePrefixes: ['a-'] }, '?zone=Zone%20A&zone=Zone%20B')
  const ofAll = await site.listen('?groupBy=zone')
  await site.send(eventOf(0, { deviceId: 'a-1', zone: 'Zone A' }), eventOf(1, { deviceId: 'b-1', zone: 'Zone A' }),
    eventOf(2, { deviceId: 'b-2', zone: 'Zone B' }), eventOf(3, { deviceId: 'a-2', zone: 'Zone B' }))
  const counts = (it: Listening) => [...it.buckets].map(([name, { count }]) => [name, count]).sort()
  const expected = [
    [[`${at(0)} Zone A`, 2]], [[at(0), 2]], [[`${at(0)} Zone A`, 2], [`${at(0)} Zone B`, 2]]
  ]
  await until('each to hear its own', () =>
    JSON.stringify([ofZone, ofDevices, ofAll].map(counts)) === JSON.stringify(expected))
})

test('a revoked key gets no more after five seconds, and the reason', limit, async t => {
  await using site = await openStreamSite(t)
  const headers = { authorization, 'content-type': 'application/json' }
  const made = await fetch(`${site.url}/api/v1/keys`, {
    method: 'POST', headers, body: JSON.stringify({ name: 'listener', scopes: ['events:read'] })
  })
  const { id, key } = await made.json() as { id: string, key: string }
  await using closing = new AsyncDisposableStack()
  const client = closing.adopt(await listen(site.url, '', undefined, `Bearer ${key}`), async it => it.close())
  assert.equal(
    (await fetch(`${site.url}/api/v1/keys/${id}`, { method: 'DELETE', headers: { authorization } })).status, 204
  )
  await until('the stream to end', () => client.of('end').length === 1, 6_000)
  assert.equal(client.of('end')[0].reason, 'unauthorized')
})

test('late readings change old buckets, and very many of them are sent as one range', limit, async t => {
  await using site = await openStreamSite(t)
  const client = await site.listen('?device=d1')
  await site.send(eventOf(90 * 86_400, { deviceId: 'd1' }))
  await site.send(eventOf(30, { deviceId: 'd1', value: 8 }))
  await until('the old bucket', () => client.buckets.get(at(0))?.max === 8)

  await site.send(...Array.from({ length: 400 }, (_, n) => eventOf(86_400 + n * 60, { deviceId: 'd1' })))
  const told = () => [
    ...client.of('changed'), ...client.of('rollup').map(it => ({ start: it.bucketStart, end: it.bucketEnd }))
  ]
  const isTold = (n: number) => told().some(it => it.start <= at(86_400 + n * 60) && it.end > at(86_400 + n * 60))
  await until('every minute to be told', () => Array.from({ length: 400 }, (_, n) => n).every(isTold))
  assert.ok(client.of('rollup').length < 300, `${client.of('rollup').length} events`)
})

test('a client that resumes with an id misses nothing, wherever it was disconnected', limit, async t => {
  await using site = await openStreamSite(t)
  let client = await site.listen('?groupBy=device')
  const buckets = new Map<string, Record<string, any>>()
  const take = () => { for (const [name, it] of client.buckets) buckets.set(name, it) }
  const sum = () => [...buckets.values()].reduce((sum, it) => sum + it.count, 0)

  let sent = 0
  for (let round = 0; round < 12; round++) {
    await site.send(...Array.from({ length: 10 }, () => eventOf(sent * 37, { deviceId: `d${sent++ % 5}` })))
    if (round % 3 === 0) await until('some more', () => { take(); return sum() >= sent - 5 })
    const { lastId } = client
    client.close()
    take()
    await site.send(...Array.from({ length: 5 }, () => eventOf(sent * 37, { deviceId: `d${sent++ % 5}` })))
    client = await site.listen('?groupBy=device', lastId)
    await until('the promise that all is told from here on', () => client.of('open').length === 1)
    assert.deepEqual(client.of('reset'), [])
  }
  await until(() => `${sum()} of ${sent}`, () => { take(); return sum() === sent })
})

test('an id that is too old, of another history of the database, or invalid, causes a reset', limit, async t => {
  await using site = await openStreamSite(t)
  const first = await site.listen()
  const [xact, timeMs, history] = first.lastId!.split('-')
  const another = [...history].toReversed().join('')
  for (const id of [`${xact}-${Number(timeMs) - 11 * 60_000}-${history}`, `${xact}-${timeMs}-${another}`, `${xact}-${timeMs}`, 'nonsense']) {
    const client = await site.listen('?device=d1', id)
    await until('the promise that all is told from here on', () => client.of('open').length === 1)
    assert.equal(client.of('reset').length, 1, id)
    const before = client.of('rollup').length
    await site.send(eventOf(before, { deviceId: 'd1', value: Math.random() }))
    await until('what comes after the reset', () => client.of('rollup').length > before)
  }
})

test('an idle stream sends heartbeats, with an id to resume from', limit, async t => {
  await using site = await openStreamSite(t, { STREAM_HEARTBEAT_MS: '100' })
  const client = await site.listen('?device=nobody')
  const { lastId } = client
  await site.send(eventOf(0))
  await until('the id to move on', () => client.of('heartbeat').length > 2 && client.lastId !== lastId)
  assert.deepEqual(client.of('rollup'), [])
})

test('a lost LISTEN connection loses nothing', limit, async t => {
  await using site = await openStreamSite(t)
  const client = await site.listen('?device=d1')
  await site.send(eventOf(0, { deviceId: 'd1' }))
  await until('the first reading', () => client.buckets.size === 1)
  for (let n = 1; n < 6; n++) {
    const killed = await site.database.query(`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and query = 'listen rollup_commits'`)
    assert.ok(killed.length > 0 || n > 1)
    await site.send(eventOf(n * 60, { deviceId: 'd1' }))
    await until(`bucket ${n}`, () => client.buckets.has(at(n * 60)))
  }
  assert.equal(client.hasEnded, false)
})

test('closing ends the streams with a reason', limit, async t => {
  const { app } = await openTestApi(t)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number }
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/stream`, { headers: { authorization } })
  const text = response.text()
  await app.close()
  assert.match(await text, /event: open[^]*event: end\ndata: {"reason":"closing"}\n\n$/)
})

test('an impossible stream is refused before it starts', limit, async t => {
  const { app, ask } = await openTestApi(t, { STREAM_CLIENTS_MAX: '1' })
  await using closing = new AsyncDisposableStack() // before its database closes
  closing.defer(() => app.close())
  const cases: Array<[Record<string, string>, string]> = [
    [{ interval: '5m' }, 'RELAY_PARAMETER_INVALID'], [{ groupBy: 'planet' }, 'RELAY_PARAMETER_INVALID'],
    [{ devcie: 'd1' }, 'RELAY_PARAMETER_UNKNOWN'], [{ type: 'TOASTER' }, 'RELAY_DEVICE_TYPE_UNKNOWN']
  ]
  for (const [query, code] of cases) {
    const { status, body } = await ask('/api/v1/stream', query)
    assert.deepEqual([status, body.code], [400, code])
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number }
  const first = await fetch(`http://127.0.0.1:${port}/api/v1/stream`, { headers: { authorization } })
  const second = await ask('/api/v1/stream')
  assert.deepEqual([first.status, second.status, second.body.code], [200, 503, 'RELAY_STREAM_FULL'])
  assert.ok(Number(second.headers['retry-after']) > 0)
  await first.body!.cancel()
})
