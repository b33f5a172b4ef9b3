import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { chooseEventLog, describeChoice, isKafkaOurs, type EventLogWish } from '../src/event-log.ts'
import type { FoundJava } from '../src/kafka.ts'

const here: FoundJava = { kind: 'found', version: 21, isInstalled: false }
const cached: FoundJava = { kind: 'found', version: 21, isInstalled: true }
const missing: FoundJava = { kind: 'missing', what: 'Java 17 or newer and Maven' }
const kafkaSomewhere = { bootstrapServers: 'kafka.example:9092' }

const cases: { wish: EventLogWish, java: FoundJava, says: RegExp, isOurs: boolean }[] = [
  { wish: {}, java: cached, says: /^Event log: Kafka \(found Java 21 and the jars\)$/, isOurs: true },
  { wish: {}, java: here, says: /^Event log: Kafka \(found Java 21 .* Maven to fetch the jars\)$/, isOurs: true },
  { wish: {}, java: missing, says: /^Event log: PostgreSQL \(Kafka would need Java 17 .* Maven\)$/, isOurs: false },
  { wish: kafkaSomewhere, java: missing, says: /^Event log: Kafka at kafka\.example:9092 \(named by/, isOurs: false },
  { wish: { asked: 'postgres', ...kafkaSomewhere }, java: here, says: /PostgreSQL \(as asked for\)$/, isOurs: false },
  { wish: { asked: 'kafka', ...kafkaSomewhere }, java: missing, says: /Kafka at kafka\.example/, isOurs: false },
  { wish: { asked: 'kafka' }, java: cached, says: /^Event log: Kafka \(as asked for\)$/, isOurs: true },
  { wish: { before: 'postgres' }, java: cached, says: /PostgreSQL \(as before\)$/, isOurs: false },
  { wish: { before: 'kafka' }, java: cached, says: /Kafka \(as before\)$/, isOurs: true },
  {
    wish: { before: 'kafka elsewhere', ...kafkaSomewhere },
    java: missing,
    says: /Kafka at kafka\.example/,
    isOurs: false
  },
  {
    wish: { before: 'kafka', asked: 'postgres', isMove: true },
    java: missing,
    says: /PostgreSQL \(as asked for\)$/,
    isOurs: false
  },
  { wish: { before: 'postgres', isMove: true }, java: cached, says: /^Event log: Kafka \(found Java 21/, isOurs: true }
]

suite('the event log of the stack', () => {
  for (const { wish, java, says, isOurs } of cases) {
    test(`with ${JSON.stringify(wish)} and Java ${java.kind}: ${says.source}`, async () => {
      const choice = await chooseEventLog(wish, async () => java)
      assert.match(describeChoice(choice), says)
      assert.equal(isKafkaOurs(choice), isOurs)
    })
  }

  test('Kafka that is requested and can\'t run here is refused, with what to do', async () => {
    await assert.rejects(chooseEventLog({ asked: 'kafka' }, async () => missing), {
      code: 'RELAY_CONFIG_INVALID',
      message: /needs Java 17 or newer and Maven.*KAFKA_BOOTSTRAP_SERVERS.*--event-log postgres/
    })
  })

  const others: { wish: EventLogWish, java: FoundJava, says: RegExp }[] = [
    {
      wish: { before: 'kafka', asked: 'postgres' },
      java: cached,
      says: /in the Kafka of npm start, not in PostgreSQL\n.*--event-log kafka/
    },
    {
      wish: { before: 'kafka' }, java: missing, says: /in the Kafka of npm start; it needs Java 17 or newer and Maven\n/
    },
    {
      wish: { before: 'postgres', asked: 'kafka' }, java: cached, says: /in PostgreSQL, not in the Kafka of npm start/
    },
    {
      wish: { before: 'postgres', ...kafkaSomewhere }, java: cached, says: /in PostgreSQL, not in a Kafka of your own/
    },
    {
      wish: { before: 'kafka elsewhere' }, java: cached, says: /in a Kafka of your own\n.*set KAFKA_BOOTSTRAP_SERVERS/
    },
    {
      wish: { before: 'kafka elsewhere', asked: 'postgres' },
      java: cached,
      says: /a Kafka of your own, not in PostgreSQL/
    }
  ]
  for (const { wish, java, says } of others) {
    test(`another log than before is refused, with how to move: ${JSON.stringify(wish)}, Java ${java.kind}`, async () => {
      await assert.rejects(chooseEventLog(wish, async () => java), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'RELAY_CONFIG_INVALID')
        assert.match(error.message, says)
        assert.match(error.message, /to move: .*\n.*\n.*--data-dir.*--fresh/)
        return true
      })
    })
  }

  test('Java is only looked for if the result depends on it', async () => {
    const look = () => assert.fail('it was looked for')
    await chooseEventLog({ asked: 'postgres' }, look)
    await chooseEventLog(kafkaSomewhere, look)
  })
})
