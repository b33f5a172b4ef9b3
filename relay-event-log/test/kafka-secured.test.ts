/** Kafka with TLS, logins and certificates: who gets in, and the errors of others. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'

import { createLogger, readConfig, type ErrorCode } from 'relay-common'
import { eventLogSettings, openEventLog, type EventLog } from 'relay-event-log'
import { Type } from 'typebox'

import { takeRecords, waitAssigned } from 'relay-test-support/members.ts'
import { openSecuredKafka, PASSWORD, USER } from 'relay-test-support/secured-kafka.ts'

const log = createLogger('test', 'silent')

/** Settings of a program, as environment variables. */
type Environment = Readonly<Record<string, string>>

async function open (environment: Environment): Promise<EventLog> {
  return await openEventLog(
    readConfig(Type.Object(eventLogSettings), { EVENT_LOG: 'kafka', ...environment }), undefined, log)
}

/** Creates a topic, sends to it, and reads it as a member of a group. */
async function sendAndRead (eventLog: EventLog): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const { name: topic } = await eventLog.ensureTopic(
    { name: randomUUID(), partitions: 2, retentionMs: 3_600_000, replicationFactor: 1 })
  const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
  const values = Array.from({ length: 1_000 }, (_, n) => `${n} ${'x'.repeat(200)}`)
  await producer.send(topic, values.map((value, n) => ({ key: `device-${n % 7}`, value })))
  const consumer = opened.adopt(await eventLog.openConsumer(
    { topic, group: randomUUID(), sessionTimeoutMs: 10_000, fetchBufferMaxBytes: 1024 * 1024 }), it => it.close())
  await waitAssigned(consumer, 2)
  for (const partition of [0, 1]) consumer.start(partition, 0n)
  const read = (await takeRecords(consumer, values.length)).map(it => String(it.value))
  assert.deepEqual(read.sort(), values.sort())
}

test('a broker with TLS, logins and certificates', { timeout: 180_000 }, async t => {
  const kafka = await openSecuredKafka(t)
  if (!kafka) return
  const { own, foreign, elsewhere } = kafka
  const at = (server: string, caFile = own.caFile): Environment =>
    ({ KAFKA_BOOTSTRAP_SERVERS: server, KAFKA_TLS: 'true', KAFKA_TLS_CA_FILE: caFile })
  const login = (mechanism: string, password = PASSWORD): Environment =>
    ({ KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: USER, KAFKA_SASL_PASSWORD: password })
  const certificate = ({ certFile, keyFile }: typeof own): Environment =>
    ({ KAFKA_TLS_CERT_FILE: certFile, KAFKA_TLS_KEY_FILE: keyFile })

  for (const [how, environment] of Object.entries<Environment>({
    TLS: at(kafka.tls),
    'TLS and a password': { ...at(kafka.plain), ...login('PLAIN') },
    'TLS and a password of which the broker has a hash (SHA-256)': { ...at(kafka.scram), ...login('SCRAM-SHA-256') },
    'TLS and a password of which the broker has a hash (SHA-512)': { ...at(kafka.scram), ...login('SCRAM-SHA-512') },
    'TLS and a certificate': { ...at(kafka.mutual), ...certificate(own) }
  })) {
    await t.test(`topics, sending and reading in a group work over ${how}`, async () => {
      await using opened = new AsyncDisposableStack()
      await sendAndRead(opened.adopt(await open(environment), it => it.close()))
    })
  }

  /** Refused with the code, and a helpful message without a password. */
  const refuses = async (environment: Environment, code: ErrorCode, words: RegExp) => {
    const opening = open(environment)
    opening.then(it => it.close(), () => {}) // one that opens anyway would keep this process running
    await assert.rejects(opening, (error: Error & { code?: string }) => {
      assert.equal(error.code, code)
      assert.match(error.message, words)
      for (const secret of [PASSWORD, 'a wrong one']) {
        assert.ok(!inspect(error, { depth: 10 }).includes(secret), 'the error tells a password')
      }
      return true
    })
  }

  for (const [what, [environment, words]] of Object.entries<[Environment, RegExp]>({
    'no TLS, where it wants that': [{ KAFKA_BOOTSTRAP_SERVERS: kafka.tls }, /KAFKA_TLS/],
    'an authority that did not sign the broker\'s certificate':
      [at(kafka.tls, foreign.caFile), /not trusted.*KAFKA_TLS_CA_FILE/],
    'no authority at all': [
      { KAFKA_BOOTSTRAP_SERVERS: kafka.tls, KAFKA_TLS: 'true' }, /not trusted.*KAFKA_TLS_CA_FILE/
    ],
    'a broker whose certificate is for another host':
      [at(kafka.misnamed, elsewhere.caFile), /does not match the host name.*127\.0\.0\.1/],
    'no certificate, where it wants one': [at(kafka.mutual), /KAFKA_TLS_CERT_FILE/],
    'a certificate of an authority that it does not know':
      [{ ...at(kafka.mutual), ...certificate(foreign) }, /KAFKA_TLS_CERT_FILE/],
    'a wrong password': [{ ...at(kafka.plain), ...login('PLAIN', 'a wrong one') }, /login.*KAFKA_SASL_PASSWORD/],
    'a wrong password, of which it has a hash':
      [{ ...at(kafka.scram), ...login('SCRAM-SHA-512', 'a wrong one') }, /login.*KAFKA_SASL_PASSWORD/],
    'a user that it does not know':
      [{ ...at(kafka.scram), ...login('SCRAM-SHA-256'), KAFKA_SASL_USERNAME: 'nobody' }, /login.*KAFKA_SASL_USERNAME/],
    'a mechanism that it does not offer': [{ ...at(kafka.scram), ...login('PLAIN') }, /KAFKA_SASL_MECHANISM/],
    'a login, where there is none': [{ ...at(kafka.tls), ...login('PLAIN') }, /KAFKA_SASL_MECHANISM/]
  })) {
    await t.test(`a connection with ${what} fails at once, with a clear reason`, () =>
      refuses(environment, 'RELAY_EVENT_LOG_REFUSED', words))
  }

  await t.test('a broker that closes connections silently may be starting: this is reported after ten seconds', async () => {
    const words = /KAFKA_TLS.*KAFKA_SASL_MECHANISM/
    await Promise.all([
      refuses({ KAFKA_BOOTSTRAP_SERVERS: kafka.plain, ...login('PLAIN') }, 'RELAY_EVENT_LOG_UNREACHABLE', words),
      refuses(at(kafka.plain), 'RELAY_EVENT_LOG_UNREACHABLE', words),
      refuses(at(kafka.open), 'RELAY_EVENT_LOG_UNREACHABLE', words)
    ])
  })

  await t.test('an unknown mechanism is an invalid setting', () =>
    refuses({ ...at(kafka.plain), ...login('GSSAPI') }, 'RELAY_CONFIG_INVALID', /KAFKA_SASL_MECHANISM/))
})
