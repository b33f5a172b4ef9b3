/** Dead letters by the API, on real event logs: lists, one of them, replays, and who sees which. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { createApiKey, type Grants } from 'relay-access'
import { createLogger } from 'relay-common'
import type { EventLog } from 'relay-event-log'

import { startProcessor } from '../../relay-processor/src/processor.ts'
import { makeEvents, openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { until } from 'relay-test-support/until.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

const log = createLogger('test', 'silent')
const RECORDS = 5

/** Letters of devices of two zones, of an unknown type; one that is no JSON, and one without a value. */
async function openLetters (t: TestContext, kind: EventLog['kind'], opened: AsyncDisposableStack) {
  const site = await openSite(t, kind)
  if (!site) return undefined
  const processor = await startProcessor(site.config, log)
  await send(site, makeEvents(RECORDS).map((it, n) => ({ ...it, deviceId: `toaster-${n}`, deviceType: 'TOASTER', zone: `Zone ${'AB'[n % 2]}` })))
  await site.producer.send(
    site.config.EVENTS_TOPIC, [{ key: 'broken', value: '{"deviceId":\u001b[31m' }, { key: 'gone', value: null }]
  )
  await settled(site)
  await processor.close()
  const app = opened.adopt(
    await createApp(readApiConfig({ ...site.environment, API_TOKENS: TOKEN }), site.database, log), it => it.close()
  )
  const ask = async (path: string, payload?: object, token = TOKEN) => {
    const response = await app.inject({
      method: payload ? 'POST' : 'GET', url: `/api/v1/${path}`, headers: { authorization: `Bearer ${token}` }, ...payload ? { payload } : {}
    })
    return { status: response.statusCode, body: response.json() as any }
  }
  await until('events to be taken', async () => (await ask('events', [])).status === 202)
  const endOf = async () => (await site.eventLog.readOffsets(site.config.EVENTS_TOPIC)).reduce(
    (all, it) => all + it.endOffset, 0n
  )
  const keyOf = async (grants: Grants) => (await createApiKey(site.database,
    { environment: 'local', name: 'k', scopes: ['admin'], grants, expiresAtMs: undefined }, { principal: 'test' })).key
  return { site, ask, endOf, keyOf }
}

for (const kind of ['kafka', 'postgres'] as const) {
  test(`dead letters are listed, looked into, and sent again after a dry run: ${kind}`, { timeout: 180_000 }, async t => {
    await using opened = new AsyncDisposableStack()
    const letters = await openLetters(t, kind, opened)
    if (!letters) return
    const { site, ask, endOf } = letters

    const { body: all } = await ask('dead-letters')
    assert.equal(all.letters.length, RECORDS + 2)
    assert.equal(all.next, null)
    assert.deepEqual(all.reasons.map((it: any) => [it.reason, it.count]).sort(),
      [['device-type-unknown', RECORDS], ['not-json', 1], ['record-empty', 1]])
    const times = all.letters.map((it: any) => it.time)
    assert.deepEqual(times, times.toSorted().reverse(), 'the newest first')
    const paged: any[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body }: { body: any } = await ask(`dead-letters?limit=2${cursor && `&cursor=${cursor}`}`)
      assert.deepEqual(body.reasons, all.reasons, 'of all pages')
      paged.push(...body.letters)
      cursor = body.next
    }
    assert.deepEqual(paged, all.letters)
    const { body: some } = await ask('dead-letters?reason=not-json&reason=record-empty')
    assert.deepEqual(some.letters.map((it: any) => it.device).sort(), ['broken', 'gone'])
    assert.equal((await ask('dead-letters?device=toaster-1')).body.letters.length, 1)
    assert.equal((await ask('dead-letters?end=-1h')).body.letters.length, 0)

    const broken = some.letters.find((it: any) => it.device === 'broken').letter
    const { body: looked } = await ask(`dead-letters/${broken}`)
    assert.equal(Buffer.from(looked.value, 'base64').toString(), '{"deviceId":\u001b[31m')
    assert.equal(Buffer.from(looked.key, 'base64').toString(), 'broken')
    assert.deepEqual([looked.reason, looked.replayedAt], ['not-json', null])
    assert.equal((await ask('dead-letters/0:999')).body.code, 'RELAY_NO_DATA')

    const toasters = all.letters.filter((it: any) => it.reason === 'device-type-unknown').map((it: any) => it.letter)
    const before = await endOf()
    const { body: dry } = await ask('dead-letters/replay', { letters: [...toasters, '0:999'] })
    assert.deepEqual([dry.dryRun, dry.sent], [true, RECORDS])
    assert.deepEqual(dry.letters.map((it: any) => it.outcome), [...toasters.map(() => 'ready'), 'unknown'])
    assert.equal(await endOf(), before, 'a dry run sends nothing')
    const { body: sent } = await ask('dead-letters/replay', { letters: [...toasters, toasters[0]], dryRun: false })
    assert.deepEqual([sent.dryRun, sent.sent], [false, RECORDS])
    assert.equal(await endOf(), before + BigInt(RECORDS))
    const { body: marked } = await ask('dead-letters?reason=device-type-unknown')
    assert.ok(marked.letters.every((it: any) => Date.parse(it.replayedAt) > 0))
    assert.ok(Date.parse((await ask(`dead-letters/${toasters[0]}`)).body.replayedAt) > 0)

    const { body: twice } = await ask('dead-letters/replay', { letters: toasters, dryRun: false })
    assert.deepEqual(
      [twice.sent, new Set(twice.letters.map((it: any) => it.outcome))], [0, new Set(['replayed-before'])]
    )
    assert.equal((await ask('dead-letters/replay', { letters: toasters, again: true })).body.sent, RECORDS)
    assert.equal(await endOf(), before + BigInt(RECORDS))
    const acts = await site.database.query<{ details: { letters: string[] } }>(
      "select details from audit_log where act = 'dead-letters.replay'"
    )
    assert.deepEqual(acts.map(it => it.details.letters), [toasters])

    const second = await startProcessor({ ...site.config, DEVICE_TYPES: `${site.config.DEVICE_TYPES},TOASTER` }, log)
    await settled(site)
    await second.close()
    assert.equal((await ask('devices?prefix=toaster')).body.devices.length, RECORDS, 'now they count')
  })
}

test('whoever may see a part of the site sees the letters of that part, and replays those alone', { timeout: 120_000 }, async t => {
  await using opened = new AsyncDisposableStack()
  const { ask, keyOf } = (await openLetters(t, 'postgres', opened))!
  const key = await keyOf({ zones: ['Zone A'] })
  const { body: all } = await ask('dead-letters')
  const { body: own } = await ask('dead-letters', undefined, key)
  assert.deepEqual(own.letters.map((it: any) => it.device).sort(), ['toaster-0', 'toaster-2', 'toaster-4'])
  assert.deepEqual(own.reasons, [{ reason: 'device-type-unknown', count: 3 }])
  for (const { letter, device } of all.letters) {
    const isOwn = own.letters.some((it: any) => it.letter === letter)
    assert.equal((await ask(`dead-letters/${letter}`, undefined, key)).status, isOwn ? 200 : 403, device)
    assert.equal((await ask('dead-letters/replay', { letters: [letter] }, key)).status, isOwn ? 200 : 403, device)
  }
  const { body: byPrefix } = await ask('dead-letters', undefined, await keyOf({ devicePrefixes: ['toaster-1'] }))
  assert.deepEqual(byPrefix.letters.map((it: any) => it.device), ['toaster-1'])
})

test('whatever else is asked for is refused, and the answer says what would be right', async t => {
  const { app } = await openTestApi(t)
  const ask = async (path: string, payload?: unknown) => {
    const response = await app.inject({
      method: payload === undefined ? 'GET' : 'POST',
      url: `/api/v1/${path}`,
      headers: { authorization: `Bearer ${TOKEN}`, ...payload === undefined ? {} : { 'content-type': 'application/json' } },
      ...payload === undefined ? {} : { payload: typeof payload === 'string' ? payload : JSON.stringify(payload) }
    })
    const { code, parameter, detail } = response.json()
    return { status: response.statusCode, code, parameter, detail }
  }
  const cursor = (text: string) => `cursor=${Buffer.from(text).toString('base64url')}`
  const asked: Array<[query: string, code: string, parameter: string]> = [
    ['reason=nothing', 'RELAY_PARAMETER_INVALID', 'reason'], ['limit=0', 'RELAY_PARAMETER_INVALID', 'limit'],
    ['limit=201', 'RELAY_PARAMETER_INVALID', 'limit'], ['start=yesterday', 'RELAY_PARAMETER_INVALID', 'start'],
    ['since=-1h', 'RELAY_PARAMETER_UNKNOWN', 'since'], ['device=', 'RELAY_PARAMETER_INVALID', 'device'],
    ['cursor=', 'RELAY_CURSOR_INVALID', 'cursor'], ['cursor=x', 'RELAY_CURSOR_INVALID', 'cursor'],
    [cursor(`1 0 0 ${'9'.repeat(20)}`), 'RELAY_CURSOR_INVALID', 'cursor'], [cursor('2 0 0 0'), 'RELAY_CURSOR_INVALID', 'cursor'],
    [cursor('1 0 0 0 0'), 'RELAY_CURSOR_INVALID', 'cursor'], [`${cursor('1 0 0 0')}=`, 'RELAY_CURSOR_INVALID', 'cursor'],
    [`cursor=${'A'.repeat(5_000)}`, 'RELAY_PARAMETER_INVALID', 'cursor']
  ]
  for (const [query, code, parameter] of asked) {
    const answer = await ask(`dead-letters?${query}`)
    assert.deepEqual([answer.status, answer.code, answer.parameter], [400, code, parameter], query.slice(0, 80))
  }
  for (const letter of ['x', '0', '0:', ':0', '-1:0', '0:1.5', '0:1:2', `0:${'9'.repeat(20)}`, '%00', "'", '..%2f0:1', '٣:٣', `${'9'.repeat(5_000)}:1`]) {
    assert.equal((await ask(`dead-letters/${letter}`)).code, 'RELAY_PARAMETER_INVALID', letter)
  }
  const good = { letters: ['0:1'] }
  const bodies: Array<[body: unknown, code: string, parameter: string | undefined]> = [
    [{}, 'RELAY_PARAMETER_MISSING', 'letters'], [{ letters: [] }, 'RELAY_PARAMETER_INVALID', 'letters'],
    [{ letters: '0:1' }, 'RELAY_PARAMETER_INVALID', 'letters'],
    [{ letters: [1] }, 'RELAY_PARAMETER_INVALID', 'letters'],
    [{ letters: ['0:1', 'x'] }, 'RELAY_PARAMETER_INVALID', 'letters'],
    [{ letters: [null] }, 'RELAY_PARAMETER_INVALID', 'letters'],
    [{ letters: Array(101).fill('0:1') }, 'RELAY_PARAMETER_INVALID', 'letters'],
    [{ ...good, dryRun: 'false' }, 'RELAY_PARAMETER_INVALID', 'dryRun'],
    [{ ...good, dryRun: 0 }, 'RELAY_PARAMETER_INVALID', 'dryRun'],
    [{ ...good, again: null }, 'RELAY_PARAMETER_INVALID', 'again'],
    [{ ...good, dryrun: false }, 'RELAY_PARAMETER_UNKNOWN', 'dryrun'],
    [[], 'RELAY_REQUEST_INVALID', undefined], [null, 'RELAY_REQUEST_INVALID', undefined],
    ['{"letters":["0:1"],"dryRun":true,"dryRun":false}', 'RELAY_REQUEST_INVALID', undefined],
    ['{"letters":["0:1"],"__proto__":{}}', 'RELAY_REQUEST_INVALID', undefined]
  ]
  for (const [body, code, parameter] of bodies) {
    const answer = await ask('dead-letters/replay', body)
    assert.deepEqual(
      [answer.status, answer.code, answer.parameter], [400, code, parameter], JSON.stringify(body).slice(0, 80)
    )
  }
  assert.match((await ask('dead-letters/replay', { letters: ['0:1', 'x'] })).detail, /^item 1 of letters must be a partition and an offset such as 0:1234$/)
  assert.match((await ask('dead-letters/replay', { ...good, dryrun: false })).detail, /did you mean dryRun\?/)
  assert.equal((await ask('dead-letters/replay', good)).code, 'RELAY_INGEST_OFF')
  const { status, code, detail } = await ask('dead-letters')
  assert.deepEqual([status, code], [404, 'RELAY_NO_DATA'])
  assert.match(detail, /has no topic iot-events\.dead-letters: check EVENT_LOG/)
})
