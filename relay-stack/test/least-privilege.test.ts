/** Each program has a database role with the necessary rights only. */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'

import getPort from 'get-port'
import { connectAsync } from 'mqtt'
import { createLogger, openDatabase, type Database } from 'relay-common'
import { openEventLog } from 'relay-event-log'
import { DAY_MS, findRetentionDifferences, maySetRetention, setRetention } from 'relay-rollups'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { startApi } from '../../relay-api/src/app.ts'
import { readApiConfig } from '../../relay-api/src/config.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { until } from 'relay-test-support/until.ts'

const log = createLogger('test', 'silent')

/** @returns the database URL for a user that is a member of a role, until the stack is disposed of */
async function addUser (opened: AsyncDisposableStack, database: Database, url: string, role: string): Promise<string> {
  const user = `user_${randomUUID().replaceAll('-', '')}`
  const password = randomBytes(12).toString('hex')
  await database.query(`create role ${user} login password '${password}' in role ${role}`)
  opened.defer(async () => {
    // a pool closes before its sessions have ended, and a session keeps temporary tables of the user until then
    await until(`the last session of ${user} to end`, async () =>
      (await database.query('select from pg_stat_activity where usename = $1', [user])).length === 0)
    await database.query(`drop role ${user}`)
  })
  const address = new URL(url)
  address.username = user
  address.password = password
  return address.href
}

const event = (seconds: number) => JSON.stringify({
  deviceId: 'd',
  deviceType: 'THERMOSTAT',
  zone: 'Zone A',
  value: seconds,
  timestamp: new Date(Date.UTC(2024, 0, 1, 0, 0, seconds)).toISOString()
})

test('producer, processor and API work with their own roles, including the event log', async t => {
  const { database, url } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const topic = 'iot-events'
  const shared = { EVENT_LOG: 'postgres', EVENTS_TOPIC: topic, LOG_LEVEL: 'silent', HEALTH_PORT: '0' }

  const producerUrl = await addUser(opened, database, url, 'relay_producer')
  const settings = readProcessorConfig({ ...shared, DATABASE_URL: producerUrl })
  const ofProducer = opened.adopt(await openDatabase(settings, 'producer', log), it => it.close())
  const eventLog = opened.adopt(await openEventLog(settings, ofProducer, log), it => it.close())
  await eventLog.ensureTopic({ name: topic, partitions: 2, retentionMs: 3_600_000, replicationFactor: -1 })
  const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
  await producer.send(topic, [0, 1, 2, 3].map(it => ({ key: 'd', value: event(it) })))
  await producer.send(topic, [{ key: 'd', value: 'poison' }])

  const processorUrl = await addUser(opened, database, url, 'relay_processor')
  opened.adopt(await startProcessor(
    readProcessorConfig({ ...shared, DATABASE_URL: processorUrl, RETENTION_MINUTE_DAYS: '100000' }), log
  ),
  it => it.close())

  const apiUrl = await addUser(opened, database, url, 'relay_api')
  const mqttPort = await getPort({ host: '127.0.0.1' })
  const api = opened.adopt(await startApi(readApiConfig({
    ...shared,
    DATABASE_URL: apiUrl,
    MQTT_PORT: String(mqttPort),
    API_TOKENS: 'token',
    API_PORT: '0',
    RATE_LIMIT_STORE: 'postgres'
  }), log), it => it.close())
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`http://127.0.0.1:${api.port}${path}`, {
      ...init, headers: { authorization: 'Bearer token', 'content-type': 'application/json' }
    })
    return { status: response.status, body: await response.json() as any }
  }

  const question = '/api/events/device/d?startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z'
  await until('the rollups', async () => (await ask(question)).body.count === 4)
  assert.equal(
    (await ask('/api/v1/aggregates?start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z&device=d')).status, 200
  )
  assert.equal((await ask('/api/v1/keys', {
    method: 'POST', body: JSON.stringify({ name: 'k', scopes: ['events:read'] })
  })).status, 201)
  assert.equal((await ask('/api/v1/events', { method: 'POST', body: event(5) })).status, 202)
  await until('an event that came over the API', async () => (await ask(question)).body.count === 5)
  await until('the dead letter', async () => (await database.query('select from dead_letters')).length === 1)
  const device = await connectAsync(
    `mqtt://127.0.0.1:${mqttPort}`, { username: 'device', password: 'token', protocolVersion: 4 }
  )
  opened.defer(() => device.endAsync(true))
  await device.publishAsync(topic, event(6), { qos: 1 })
  await device.publishAsync(topic, 'poison', { qos: 1 })
  await until('an event that came by MQTT', async () => (await ask(question)).body.count === 6)
  assert.equal((await database.query('select from dead_letters')).length, 2)
})

test('no role can do what another role is for', async t => {
  const { database, url } = await openLocalPostgres(t)
  await database.query("select ensure_rollup_partitions('minute', '2024-01-01', '2024-01-01')")
  await database.query("insert into rollups_minute values (1, '2024-01-01T00:00:00Z', 0, 1, 1, 1, 1, '')")
  const insert = "insert into rollups_minute values (2, '2024-01-01T00:00:00Z', 0, 1, 1, 1, 1, '')"
  const forEverybody = [
    'delete from rollups_minute', 'truncate rollups_minute', 'drop table rollups_minute', 'delete from progress',
    'delete from audit_log',
    'update audit_log set act = \'\'', 'create table mine (a integer)',
    'create function mine () returns integer language sql as \'select 1\'',
    'alter role relay_api superuser', 'create role another', 'select * from pg_authid',
    'insert into migrations (name, run_on) values (\'x\', now())',
    "select drop_event_log_topic('iot-events')", 'delete from event_log_batches',
    'insert into event_log_topics (topic) values (\'x\')',
    "select set_rollup_retention('minute', '1 day')", "select set_rollup_retention('minute', null)",
    "select drop_rollups_before('infinity')",
    "select trim_rollups_before('infinity')", "select merge_rollups_before('infinity')",
    "select make_rollup_partition('minute', '1900-01-01', now())",
    'select abandon_rollup_merge(0)', 'delete from rollup_merges', 'insert into rollup_merge_changes default values',
    'update rollup_trims set cut = now()',
    "copy rollups_minute to program 'true'", "select pg_read_file('/etc/passwd')",
    'update rollup_levels set retention = \'1 day\''
  ]
  const forbidden: Record<string, string[]> = {
    relay_api: [
      insert, 'delete from journal', 'update rollups_minute set count = 2',
      'insert into series (zone, device_type) values (\'z\', \'t\')', 'update progress set next_offset = 0',
      'select drop_old_rollups()', 'insert into gaps default values',
      'select * from audit_log', 'delete from api_keys'
    ],
    relay_processor: [
      'select * from api_keys', 'insert into api_keys (key_id) values (\'x\')', 'select * from audit_log',
      'select * from ingest_answers'
    ],
    relay_producer: [
      insert, 'select * from rollups_minute', 'select * from journal', 'select * from series',
      'select * from api_keys', 'select * from progress',
      'select * from event_log_batches', 'update progress set next_offset = 0'
    ]
  }
  let refused = 0
  await using opened = new AsyncDisposableStack()
  for (const [role, statements] of Object.entries(forbidden)) {
    const address = await addUser(opened, database, url, role)
    const limited = await openDatabase(readProcessorConfig({ DATABASE_URL: address }), 'test', log)
    try {
      for (const statement of [...forEverybody, ...statements]) {
        await assert.rejects(limited.query(statement), { code: '42501' }, `${role}: ${statement}`)
        refused++
      }
    } finally {
      await limited.close()
    }
  }
  assert.equal(refused, 3 * forEverybody.length + 21)
  assert.equal((await database.query('select from rollups_minute')).length, 1)
})

test('a compromised processor can only drop rollups past the retention of the owner', async t => {
  const { database, url } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const address = await addUser(opened, database, url, 'relay_processor')
  const days = [1, 20, 400, 4_000].map(it =>
    new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS - it * DAY_MS).toISOString())
  const tables = { minute: 'rollups_minute', hour: 'rollups_hour', day: 'rollups_day' }
  for (const [level, table] of Object.entries(tables)) {
    for (const day of days) {
      await database.query('select ensure_rollup_partitions($1, $2, $2)', [level, day])
      await database.query(`insert into ${table} values (1, $1, 0, 1, 1, 1, 1, '')`, [day])
    }
  }
  const taken = await openDatabase(readProcessorConfig({ DATABASE_URL: address }), 'test', log)
  opened.defer(() => taken.close())
  const attacks = [
    "set timezone = 'UTC+14'", "set datestyle = 'SQL, DMY'", 'set search_path = pg_temp, public',
    `create temporary table rollup_levels as
      select name, table_name, chunk, merged, recent, interval '0' as retention from public.rollup_levels`,
    'create temporary view rollup_partitions as select * from public.rollup_partitions',
    'select public.drop_old_rollups()', 'select public.trim_old_rollups()', 'select public.merge_old_rollups()',
    "select public.ensure_rollup_partitions('minute', '1970-01-01', '1970-01-01')"
  ]
  const session = await taken.connect()
  for (const statement of attacks) await session.query(statement)
  session.release(true)
  for (const table of Object.values(tables)) {
    assert.equal((await database.query(`select from ${table}`)).length, days.length)
  }

  await database.query("select set_rollup_retention('minute', '100 days')")
  while ((await taken.query('select drop_old_rollups()')).length > 0);
  assert.equal((await database.query('select from rollups_minute')).length, 2)
  await assert.rejects(database.query("select set_rollup_retention('minute', '1 hour')"), { code: '23514' })
})

test('a processor that may not set the retention logs differences to its settings', async t => {
  const { database, url } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  await setRetention(database, { RETENTION_MINUTE_DAYS: 30, RETENTION_HOUR_DAYS: 0 })
  const address = await addUser(opened, database, url, 'relay_processor')
  const limited = await openDatabase(readProcessorConfig({ DATABASE_URL: address }), 'test', log)
  opened.defer(() => limited.close())
  assert.equal(await maySetRetention(limited), false)
  assert.deepEqual(await findRetentionDifferences(
    limited, { RETENTION_MINUTE_DAYS: 7, RETENTION_HOUR_DAYS: 0, RETENTION_DAY_DAYS: 400 }
  ),
  ['RETENTION_MINUTE_DAYS is 7, but 30 in the database', 'RETENTION_DAY_DAYS is 400, but 0 in the database'])
  await setRetention(database, { RETENTION_HOUR_DAYS: 60, RETENTION_DAY_DAYS: 400 })
  const kept = await limited.query(
    "select name, retention::text from rollup_levels where name in ('minute', 'arrivals') order by 1"
  )
  assert.deepEqual(kept, [{ name: 'arrivals', retention: '400 days' }, { name: 'minute', retention: '30 days' }])
})

test('a role that may not migrate names one that can, and needs nothing if the schema is current', async t => {
  const { database, url } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const address = await addUser(opened, database, url, 'relay_api')
  const start = async () => await startApi(
    readApiConfig({ DATABASE_URL: address, API_TOKENS: 'token', API_PORT: '0' }), log
  )
  await (await start()).close()
  await database.query("delete from migrations where name = '0010-roles'")
  await assert.rejects(start(), { code: 'RELAY_MIGRATION_FAILED', message: /run `relay migrate` as the owner/ })
})
