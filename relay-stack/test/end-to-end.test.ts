/**
 * From the event log to the answers, as users run it: known events are sent while the processor is killed, and every
 * number of the API must equal a simple computation over the same events.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { createLogger, databaseSettings, openDatabase, readConfig, type Database } from 'relay-common'
import { openEventLog, type EventLog } from 'relay-event-log'
import { Type } from 'typebox'

import { createRandom } from 'relay-test-support/chance.ts'
import { canRunKafka } from 'relay-test-support/local-kafka.ts'
import { until } from 'relay-test-support/until.ts'
import {
  createKnownEvents, DAY_MS, DAYS, deviceTypes, LATE_MAX_MS, START_MS, type KnownEvents
} from './support/known-events.ts'
import { plainAnswer, type Asked } from './support/plain-answer.ts'
import {
  makeDataDir, onFreePorts, runningOn, startStackProcess, type StackProcess
} from './support/stack-process.ts'
import { readFromKafka, readFromPostgres, type StoredRecord } from './support/stored-records.ts'

const TOPIC = 'iot-events'
const kafkaCache = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))
const READINGS = 8_000
const BATCH_RECORDS = 100
const RANGES_PER_SELECTION = 30
const SEED = 20_240_227

suite('from the event log to the answers', { concurrency: 1 }, () => {
  test('on Kafka every number is right although the processor was killed', async t => {
    if (!await canRunKafka(t)) return
    await checkWholeLine(t, 'kafka', ['--kafka-cache', kafkaCache])
  })

  test('on PostgreSQL every number is right although the processor was killed', async t => {
    await checkWholeLine(t, 'postgres', [])
  })
})

interface Site {
  readonly stack: StackProcess
  readonly database: Database
  readonly eventLog: EventLog
  readonly kafka: string | undefined
}

async function checkWholeLine (t: TestContext, kind: EventLog['kind'], args: readonly string[]): Promise<void> {
  const dataDir = await makeDataDir(t)
  // a little history, because the stack reports that it is up after a query on the past
  const stack = startStackProcess(dataDir, ['--event-log', kind, '--backfill', '10s', ...onFreePorts, ...args])
  const { pids, url, token } = await stack.up()
  const known = createKnownEvents(READINGS, SEED)
  {
    await using site = await openSite(stack, dataDir, kind)
    await sendWhileKilling(site, known, pids.processor)
    await waitForProgress(site, await endsOf(site, TOPIC))
    await checkAnswers(known, url, token)
    await checkDeadLetters(site, known)
  }
  stack.kill('SIGTERM')
  assert.equal(await stack.exited, 0, stack.text)
  assert.deepEqual(runningOn(dataDir), [])
}

/** The servers of the stack, by the addresses in its table. */
async function openSite (
  stack: StackProcess, dataDir: string, kind: EventLog['kind']
): Promise<Site & AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  const log = createLogger('test', 'silent')
  const where = (part: string) => new RegExp(`^ {2}${part} +(\\S+) `, 'm').exec(stack.text)?.[1]
  const kafka = where('kafka')
  const [host, port] = where('postgres')!.split(/[:/]/)
  const environment = {
    POSTGRES_HOST: host, POSTGRES_PORT: port, POSTGRES_PASSWORD_FILE: join(dataDir, 'passwords/owner')
  }
  const settings = readConfig(Type.Object(databaseSettings), environment)
  const database = opened.adopt(await openDatabase(settings, 'test', log), it => it.close())
  const config = { ...settings, EVENT_LOG: kind, KAFKA_BOOTSTRAP_SERVERS: kafka }
  const eventLog = opened.adopt(await openEventLog(config, database, log), it => it.close())
  const parts = opened.move()
  return { stack, database, eventLog, kafka, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}

/** Kills the processor after a quarter of the events, and the next one after two thirds. */
async function sendWhileKilling (site: Site, { records }: KnownEvents, firstPid: number): Promise<void> {
  const { stack } = site
  const producer = await site.eventLog.openProducer()
  const batches = Math.ceil(records.length / BATCH_RECORDS)
  try {
    for (let n = 0; n < batches; n++) {
      const before = n === Math.floor(batches / 4) ? await progressOf(site) : undefined
      await producer.send(TOPIC, records.slice(n * BATCH_RECORDS, (n + 1) * BATCH_RECORDS))
      if (before) {
        await until('the processor to be at work', async () => sum(await progressOf(site)) > sum(before))
        process.kill(firstPid, 'SIGKILL')
      }
      if (n === Math.floor(batches * 2 / 3)) {
        const [, pid] = await stack.said(/^processor is running again \(process (\d+)\)/m)
        assert.notEqual(Number(pid), firstPid)
        process.kill(Number(pid), 'SIGKILL')
      }
    }
  } finally {
    await producer.close()
  }
  await stack.said(/^processor is running again[^]*^processor is running again/m)
}

const sum = (offsets: ReadonlyMap<number, bigint>) => [...offsets.values()].reduce((total, it) => total + it, 0n)

async function progressOf ({ database }: Site): Promise<Map<number, bigint>> {
  const rows = await database.query<{ source_partition: number, next_offset: bigint }>(
    'select source_partition, next_offset from progress where topic = $1', [TOPIC])
  return new Map(rows.map(it => [it.source_partition, it.next_offset]))
}

async function endsOf ({ eventLog }: Site, topic: string): Promise<Map<number, bigint>> {
  return new Map((await eventLog.readOffsets(topic)).map(it => [it.partition, it.endOffset]))
}

async function waitForProgress (site: Site, ends: ReadonlyMap<number, bigint>): Promise<void> {
  let progress = new Map<number, bigint>()
  await until(() =>
    `progress to reach the ends ${[...ends].join(' ')}; it is at ${[...progress].join(' ')}`, async () => {
    progress = await progressOf(site)
    const onTheWay = await site.database.query('select from misplaced_readings limit 1') // some are sent without a key
    return onTheWay.length === 0 &&
      [...ends].every(([partition, end]) => end === 0n || (progress.get(partition) ?? 0n) >= end)
  })
}

/** Queries every device, zone, type, and type in a zone, over many ranges. */
async function checkAnswers ({ readings }: KnownEvents, url: string, token: string): Promise<void> {
  const unique = (name: 'deviceId' | 'zone') => [...new Set(readings.map(it => it[name]))]
  const selections: Asked[] = [
    ...unique('deviceId').map(deviceId => ({ deviceId })),
    ...unique('zone').map(zone => ({ zone })),
    ...deviceTypes.map(deviceType => ({ deviceType })),
    ...unique('zone').flatMap(zone => deviceTypes.map(deviceType => ({ zone, deviceType })))
  ]
  const random = createRandom(SEED + 1)
  const seen = { exact: 0, estimated: 0, none: 0 }
  for (const asked of selections) {
    for (let n = 0; n < RANGES_PER_SELECTION; n++) {
      const [startMs, endMs] = rangeOf(n, readings[Math.floor(random() * readings.length)].timestampMs, random)
      seen[await checkAnswer(readings, asked, startMs, endMs, url, token)]++
    }
  }
  for (const [kind, count] of Object.entries(seen)) assert.ok(count >= 50, `${count} answers of the kind ${kind}`)
}

/** @param timeMs of some reading: ranges start or end exactly there, so that an edge off by one ms is detected */
function rangeOf (n: number, timeMs: number, random: () => number): [startMs: number, endMs: number] {
  const before = (maxMs: number) => 1 + Math.floor(random() * maxMs)
  switch (n % 10) {
    case 0: return [START_MS - LATE_MAX_MS, START_MS + DAYS * DAY_MS]
    case 1: return [timeMs, timeMs + 1]
    case 2: return [timeMs - before(60_000), timeMs]
    case 3: return [timeMs, timeMs + before(3_600_000)]
    case 4: return [timeMs - before(DAY_MS), timeMs + before(DAY_MS)]
    case 5: return [timeMs - before(LATE_MAX_MS), timeMs + 1]
    case 6: { // whole days
      const day = START_MS + Math.floor(random() * DAYS) * DAY_MS
      return [day, day + (1 + Math.floor(random() * 2)) * DAY_MS]
    }
    case 7: { // whole hours
      const hour = Math.floor(timeMs / 3_600_000) * 3_600_000
      return [hour, hour + 3_600_000]
    }
    case 8: return [timeMs - before(500_000), timeMs + before(500_000)]
    default: { // before everything
      const start = START_MS - LATE_MAX_MS - before(100 * DAY_MS) - DAY_MS
      return [start, start + before(DAY_MS)]
    }
  }
}

async function checkAnswer (
  readings: KnownEvents['readings'], asked: Asked, startMs: number, endMs: number, url: string, token: string
): Promise<'exact' | 'estimated' | 'none'> {
  const [startTime, endTime] = [new Date(startMs).toISOString(), new Date(endMs + 7_200_000).toISOString()]
  const query = { startTime, endTime: endTime.replace('Z', '+02:00') }
  const about = new URL(`${pathOf(asked)}?${new URLSearchParams(query)}`, url)
  const response = await fetch(about, { headers: { authorization: `Bearer ${token}` } })
  const body = await response.json() as Record<string, unknown>
  const expected = plainAnswer(readings, asked, startMs, endMs)
  const question = `${JSON.stringify(asked)} ${startTime} + ${endMs - startMs} ms`
  if (expected === undefined) {
    assert.equal(response.status, 404, question)
    return 'none'
  }
  assert.equal(response.status, 200, `${question}: ${JSON.stringify(body)}`)

  const { medianErrorMax, medianValue: trueMedian, ...numbers } = expected
  const { medianValue, medianError, ...rest } = body
  assert.deepEqual(rest, {
    ...numbers,
    timeWindowStart: query.startTime,
    timeWindowEnd: query.endTime,
    coverage: { start: startTime, end: new Date(endMs).toISOString() }
  }, question)
  assert.ok(typeof medianValue === 'number' && typeof medianError === 'number', question)
  const said = `${question}: the median is ${trueMedian}, not ${medianValue} ± ${medianError}`
  assert.ok(Math.abs(medianValue - trueMedian) <= medianError, said)
  assert.ok(medianError <= medianErrorMax, `${said}; the error may be ${medianErrorMax}`)
  return medianError === 0 ? 'exact' : 'estimated'
}

function pathOf ({ deviceId, zone, deviceType }: Asked): string {
  const parts = Object.entries({ device: deviceId, zone, type: deviceType }).filter(([, name]) => name !== undefined)
  return '/api/events/' + parts.map(([kind, name]) => `${kind}/${encodeURIComponent(name!)}`).join('/')
}

/**
 * Each poison record is there unchanged, once per source offset. (A letter may be written again after a kill, with the
 * same source offset.)
 */
async function checkDeadLetters (site: Site, { poison }: KnownEvents): Promise<void> {
  const read = async (topic: string) => site.kafka === undefined
    ? await readFromPostgres(site.database, topic)
    : await readFromKafka(site.kafka, topic, await endsOf(site, topic))
  const sources = (await read(TOPIC)).filter(it => it.headers['poison-of-test'] !== undefined)
  const letters = new Map<string, StoredRecord>()
  for (const letter of await read(`${TOPIC}.dead-letters`)) {
    assert.equal(letter.headers['relay-source-topic'], TOPIC)
    const place = `${letter.headers['relay-source-partition']}/${letter.headers['relay-source-offset']}`
    const before = letters.get(place)
    if (before) assert.deepEqual(contentOf(letter), contentOf(before), place)
    letters.set(place, letter)
  }

  assert.equal(sources.length, poison.length)
  assert.deepEqual([...letters.keys()].sort(), sources.map(it => `${it.partition}/${it.offset}`).sort())
  const found = sources.map(it => contentOf(letters.get(`${it.partition}/${it.offset}`)!))
  for (const [n, source] of sources.entries()) {
    assert.deepEqual([found[n].key, found[n].value], [source.key, source.value])
    assert.equal(found[n].reason, source.headers['poison-of-test'])
  }
  const sent = poison.map(({ key, value, reason, field }) => ({
    key: key === null ? null : Buffer.from(key), value: value === null ? null : Buffer.from(value), reason, field
  }))
  assert.deepEqual(found.map(textOf).sort(), sent.map(textOf).sort())
}

interface LetterContent {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly reason: string
  readonly field: string | undefined
}

function contentOf ({ key, value, headers }: StoredRecord): LetterContent {
  return { key, value, reason: headers['relay-reason'], field: headers['relay-field'] }
}

const textOf = ({ key, value, reason, field }: LetterContent) =>
  [reason, field ?? '-', key?.toString('hex') ?? 'null', value?.toString('hex') ?? 'null'].join(' ')
