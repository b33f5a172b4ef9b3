/**
 * Events that a caller may not send, or that the API refuses, never get into the log: not later, and not by a replay.
 */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import fc from 'fast-check'
import { claimFault, foreignField, intersectGrants, narrowGrants, type EventGrants } from 'relay-access'
import { decodeEvent } from 'relay-rollups'

import { documents, runCli } from '../../relay-cli/test/support/run-cli.ts'
import { countRecords, readTopic } from '../../relay-simulator/test/support/event-logs.ts'
import { until } from 'relay-test-support/until.ts'
import { eventOf, kinds } from './support/ingest-site.ts'
import { openMqttSite, readLetters } from './support/mqtt-site.ts'

const limit = { timeout: 180_000 }
const future = '2099-01-01T00:00:00Z'
const own = { deviceId: 'a-1', zone: 'Zone A' }
const grants = { zones: ['Zone A'], devicePrefixes: ['a-'] }

/** Payloads of somebody else, each invalid in another way or not at all. */
const foreign: readonly string[] = [
  { deviceId: 'b-1', zone: 'Zone A' }, { deviceId: 'a-1', zone: 'Zone B' }, { deviceId: 'b-1', zone: 'Zone B' }
].flatMap(whose => [
  JSON.stringify(eventOf(0, whose)),
  JSON.stringify(eventOf(1, { ...whose, timestamp: future })),
  JSON.stringify(eventOf(2, { ...whose, deviceType: 'TOASTER' })),
  JSON.stringify({ ...eventOf(3, whose), value: '3' }),
  JSON.stringify({ ...eventOf(4, whose), timestamp: 'yesterday' }),
  JSON.stringify({ ...eventOf(5, whose), value: undefined }),
  JSON.stringify(eventOf(6, whose)).replace('{', '{"deviceId":"a-1","zone":"Zone A",'),
  JSON.stringify(eventOf(7, whose)).replace('}', ',"deviceId":"a-1","zone":"Zone A"}'),
  JSON.stringify(eventOf(8, whose)).replace('"deviceId"', '"device\\u0049d"').replace('"value":', '"value":1,"value":')
])

for (const kind of kinds) {
  suite(`a key of one zone and prefix on the ${kind} log`, limit, () => {
    test('can\'t get an event of others into the log, with any version, QoS, topic or replay', async t => {
      await using site = await openMqttSite(t, kind)
      if (!site) return
      const key = await site.makeKey(grants)
      const five = await site.connect({ protocolVersion: 5, password: key })
      const four = await site.connect({ protocolVersion: 4, password: key })
      for (const payload of foreign) {
        await five.publishAsync(site.topic, payload, { qos: 0 })
        await four.publishAsync(site.topic, payload, { qos: 0 })
        await four.publishAsync(site.topic, payload, { qos: 1 })
        await four.publishAsync(site.topic, payload, { qos: 2 })
        await assert.rejects(five.publishAsync(site.topic, payload, { qos: 1 }), { code: 0x87 })
        await assert.rejects(five.publishAsync(site.topic, payload, { qos: 2 }), { code: 0x87 })
      }
      const ofOther = JSON.stringify(eventOf(0, { ...own, timestamp: future }))
      await four.publishAsync('devices/a-2/events', ofOther, { qos: 1 })
      await four.publishAsync(site.topic, '{"deviceId":"b-1"', { qos: 1 })
      const count = 4 * foreign.length + 2
      await until('all letters', async () => (await readLetters(site)).length === count)
      assert.equal(await countRecords(site.log), 0)

      const letters = await readLetters(site)
      assert.equal(letters.filter(it => it.reason === 'not-granted').length, count - 1)
      assert.ok(letters.every(it => it.principal!.startsWith('key:') && it.sourceOffset === undefined))
      assert.deepEqual(letters[0].grants, grants)
      assert.deepEqual(
        letters.find(it => it.sourceTopic === 'mqtt:devices/a-2/events')!.grants, { ...grants, deviceId: 'a-2' }
      )

      const replayed = await runCli(site, ['dead-letters', 'replay', '--yes'])
      assert.match(replayed.stdout, /again: 0 letters\n/, replayed.stderr)
      assert.match(replayed.stdout, new RegExp(`^skipped ${count}: their senders have no permission`, 'm'))
      assert.equal(await countRecords(site.log), 0)
    })

    test('gets its own refused events replayed, while it may send them', async t => {
      await using site = await openMqttSite(t, kind)
      if (!site) return
      const key = await site.makeKey(grants)
      const four = await site.connect({ protocolVersion: 4, password: key })
      const toaster = JSON.stringify(eventOf(0, { ...own, deviceType: 'TOASTER' }))
      await four.publishAsync(site.topic, toaster, { qos: 1 })
      await four.publishAsync('devices/a-1/events', toaster, { qos: 1 })
      const [letter] = documents(await runCli(site, ['dead-letters', 'list', '--json']))
      assert.deepEqual(
        [letter.reason, letter.device, letter.principal.slice(0, 4), letter.grants],
        ['device-type-unknown', 'a-1', 'key:', grants]
      )
      const shown = await runCli(site, ['dead-letters', 'show', letter.letter])
      assert.match(shown.stdout, new RegExp(`principal +${letter.principal}`))
      assert.equal(
        documents(await runCli(site, ['dead-letters', 'list', '--json', '--principal', letter.principal])).length, 2
      )
      assert.equal(
        documents(await runCli(site, ['dead-letters', 'list', '--json', '--principal', 'key:none'])).length, 0
      )

      await site.database.query("update api_keys set zones = '{Zone B}'")
      assert.match((await runCli(site, ['dead-letters', 'replay', '--yes'])).stdout, /again: 0 letters/)
      await site.database.query('update api_keys set zones = null')
      assert.match((await runCli(site, ['dead-letters', 'replay', '--yes'])).stdout, /again: 2 letters/)
      assert.deepEqual(
        (await readTopic(site.log)).map(it => [String(it.key), String(it.value)]), [['a-1', toaster], ['a-1', toaster]]
      )
    })
  })
}

test('a key of hundreds of zones has letters within every broker\'s limit, and its own are replayed', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres'))!
  const zones = Array.from({ length: 400 }, (_, n) => `Zone ${n} ${'x'.repeat(110)}`)
  const client = await site.connect({ protocolVersion: 4, password: await site.makeKey({ zones }) })
  const toaster = (zone: string) => JSON.stringify(eventOf(0, { deviceType: 'TOASTER', zone }))
  await client.publishAsync(site.topic, toaster(zones[399]), { qos: 1 })
  await client.publishAsync(site.topic, toaster('Zone B'), { qos: 1 })
  assert.deepEqual((await readLetters(site)).map(it => [it.reason, it.grants]), [
    ['device-type-unknown', { zones: [zones[399]] }], ['not-granted', { zones: [] }]
  ])
  assert.match((await runCli(site, ['dead-letters', 'replay', '--yes'])).stdout, /again: 1 letter\nskipped 1/)
  assert.equal(await countRecords(site.log), 1)
})

test('above its budget of dead letters none of a caller is stored, and its next event is accepted', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres', { DEAD_LETTERS_PER_HOUR_MAX: '3' }))!
  const client = await site.connect({ protocolVersion: 4 })
  for (let n = 0; n < 10; n++) await client.publishAsync(site.topic, 'no event', { qos: 1 })
  await client.publishAsync(site.topic, JSON.stringify(eventOf(0)), { qos: 1 })
  assert.equal((await readLetters(site)).length, 3)
  assert.equal(await countRecords(site.log), 1)
  assert.equal(await site.metric('relay_api_dead_letters_total', 'reason="not-json"'), 3)
  assert.equal(await site.metric('relay_api_budget_exceeded_total', 'budget="deadLetters"', 'caller="token:'), 7)
})

const ids = fc.constantFrom('a-1', 'a-2', 'b-1', 'a', '')
const zones = fc.constantFrom('Zone A', 'Zone B')
const anyGrants: fc.Arbitrary<EventGrants> = fc.record({
  zones: fc.array(zones, { maxLength: 2 }),
  devicePrefixes: fc.array(fc.constantFrom('a', 'a-', 'b-', ''), { maxLength: 2 }),
  deviceId: ids
}, { requiredKeys: [] })

test('invalid bytes are judged by grants like the events that they may become', () => {
  const rules = { deviceTypes: new Set(['THERMOSTAT']), futureMaxMs: Infinity }
  fc.assert(fc.property(anyGrants, ids, zones, (grants, deviceId, zone) => {
    const bytes = Buffer.from(JSON.stringify(eventOf(0, { deviceId, zone })))
    const decoded = decodeEvent(bytes, rules, 0)
    fc.pre(decoded.kind === 'event')
    assert.equal(claimFault(grants, bytes), foreignField(grants, deviceId, zone))
  }))
})

test('grants narrowed to an event give the same result for it, also in combination', () => {
  fc.assert(fc.property(anyGrants, anyGrants, ids, zones, (grants, other, deviceId, zone) => {
    const bytes = Buffer.from(JSON.stringify({ deviceId, zone }))
    const narrowed = narrowGrants(grants, bytes)
    assert.equal(claimFault(narrowed, bytes), claimFault(grants, bytes))
    assert.equal(claimFault(intersectGrants(narrowed, other), bytes), claimFault(intersectGrants(grants, other), bytes))
  }))
})

test('the intersection of two grants allows what both allow', () => {
  fc.assert(fc.property(anyGrants, anyGrants, ids, zones, (one, other, deviceId, zone) => {
    const { deviceId: _, ...second } = other
    const isBoth = foreignField(one, deviceId, zone) === undefined && foreignField(second, deviceId, zone) === undefined
    assert.equal(foreignField(intersectGrants(one, second), deviceId, zone) === undefined, isBoth)
  }))
})
