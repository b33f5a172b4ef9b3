/** Kafka behind TLS and a login: a broker that takes nothing else, with certificates made here. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { inspect, promisify } from 'node:util'

import getPort from 'get-port'

import { createLogger, eventLogSettings, openEventLog, readConfig, type EventLog } from 'relay-common'
import { Type } from 'typebox'

import { kafkaTool } from '../../relay-stack/src/kafka.ts'
import { asProperty, makeCertificates, type Certificates } from '../../test-support/certificates.ts'
import { openOwnKafka } from './support/local-kafka.ts'
import { takeRecords, waitAssigned } from './support/members.ts'

const log = createLogger('test', 'silent')
const USER = 'relay'
const PASSWORD = 'a password of the tests'

interface SecuredBroker {
  readonly cacheDir: string
  /** without any of it: for setting it up */
  readonly plain: string
  /** TLS and a login */
  readonly login: string
  /** TLS and a certificate of the client */
  readonly mutual: string
  readonly own: Certificates
  readonly foreign: Certificates
}

let folder: string | undefined
after(async () => { if (folder) await rm(folder, { recursive: true, force: true }) })

async function openSecuredBroker (t: TestContext): Promise<SecuredBroker | undefined> {
  folder ??= await mkdtemp(join(tmpdir(), 'relay-certificates-'))
  const [own, foreign] = [await makeCertificates(folder, 'own'), await makeCertificates(folder, 'foreign')]
  const host = '127.0.0.1'
  const port = await getPort({ host })
  const [login, mutual, controller] = [await getPort({ host }), await getPort({ host }), await getPort({ host })].map(it => `${host}:${it}`)
  const kafka = await openOwnKafka(t, {
    port,
    properties: [
      `controller.quorum.voters=1@${controller}`,
      `listeners=PLAINTEXT://${host}:${port},LOGIN://${login},MUTUAL://${mutual},CONTROLLER://${controller}`,
      `advertised.listeners=PLAINTEXT://${host}:${port},LOGIN://${login},MUTUAL://${mutual}`,
      'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,MUTUAL:SSL',
      'ssl.keystore.type=PEM',
      `ssl.keystore.certificate.chain=${await asProperty(own.certFile)}`,
      `ssl.keystore.key=${await asProperty(own.keyFile)}`,
      'ssl.truststore.type=PEM',
      `ssl.truststore.certificates=${await asProperty(own.caFile)}`,
      'listener.name.mutual.ssl.client.auth=required',
      'listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      `listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_${USER}="${PASSWORD}";`,
      'listener.name.login.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;',
      'listener.name.login.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;'
    ]
  })
  return kafka && { cacheDir: kafka.cacheDir, plain: `${host}:${port}`, login, mutual, own, foreign }
}

function open (environment: Record<string, string>): Promise<EventLog> {
  return openEventLog(readConfig(Type.Object(eventLogSettings), { EVENT_LOG: 'kafka', ...environment }), undefined, log)
}

/** Sends a record, and reads it as a member of a group. */
async function roundTrip (eventLog: EventLog): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const topic = await eventLog.ensureTopic({ name: randomUUID(), partitions: 1, retentionMs: 3_600_000, replicationFactor: 1 })
  const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
  const sent = Array.from({ length: 1000 }, (_, n) => ({ key: 'k', value: `${n} ${'x'.repeat(200)}` }))
  await producer.send(topic.name, sent)
  const consumer = opened.adopt(await eventLog.openConsumer({
    topic: topic.name, group: randomUUID(), sessionTimeoutMs: 10_000, fetchBufferMaxBytes: 1024 * 1024
  }), it => it.close())
  await waitAssigned(consumer, 1)
  consumer.start(0, 0n)
  const read = (await takeRecords(consumer, sent.length)).map(it => it.value)
  assert.deepEqual(read, sent.map(it => it.value))
}

test('a broker behind TLS and a login, or a certificate', { timeout: 180_000 }, async t => {
  const broker = await openSecuredBroker(t)
  if (!broker) return
  const { login, mutual, own, foreign } = broker
  const byLogin = {
    KAFKA_BOOTSTRAP_SERVERS: login,
    KAFKA_TLS: 'true',
    KAFKA_TLS_CA_FILE: own.caFile,
    KAFKA_SASL_MECHANISM: 'PLAIN',
    KAFKA_SASL_USERNAME: USER,
    KAFKA_SASL_PASSWORD: PASSWORD
  }
  const byCertificate = {
    KAFKA_BOOTSTRAP_SERVERS: mutual,
    KAFKA_TLS: 'true',
    KAFKA_TLS_CA_FILE: own.caFile,
    KAFKA_TLS_CERT_FILE: own.certFile,
    KAFKA_TLS_KEY_FILE: own.keyFile
  }

  for (const [how, environment] of Object.entries({ 'a password': byLogin, 'a certificate': byCertificate })) {
    await t.test(`lets in by ${how}, for sending and for reading`, async () => {
      const eventLog = await open(environment)
      try {
        await roundTrip(eventLog)
      } finally {
        await eventLog.close()
      }
    })
  }

  await t.test('lets in by a password of which the broker has a hash alone', async () => {
    const admin = kafkaTool(broker.cacheDir, 'kafka.admin.ConfigCommand', [
      '--bootstrap-server', broker.plain, '--alter', '--entity-type', 'users', '--entity-name', USER,
      '--add-config', `SCRAM-SHA-256=[password=${PASSWORD}],SCRAM-SHA-512=[password=${PASSWORD}]`
    ])
    await promisify(execFile)(admin.command, admin.args)
    for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512']) {
      const eventLog = await open({ ...byLogin, KAFKA_SASL_MECHANISM: mechanism })
      try {
        await roundTrip(eventLog)
      } finally {
        await eventLog.close()
      }
    }
  })

  for (const [what, environment] of Object.entries<Record<string, string>>({
    'a wrong password': { ...byLogin, KAFKA_SASL_PASSWORD: 'another' },
    'no password': { ...byLogin, KAFKA_SASL_MECHANISM: '' },
    'no TLS': { ...byLogin, KAFKA_TLS: 'false' },
    'an authority that did not sign the broker\'s certificate': { ...byLogin, KAFKA_TLS_CA_FILE: foreign.caFile },
    'a certificate of another authority': { ...byCertificate, KAFKA_TLS_CERT_FILE: foreign.certFile, KAFKA_TLS_KEY_FILE: foreign.keyFile },
    'no certificate': { ...byCertificate, KAFKA_TLS_CERT_FILE: '', KAFKA_TLS_KEY_FILE: '' }
  })) {
    await t.test(`is not used with ${what}, and no password is told`, async () => {
      await assert.rejects(open(environment), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'RELAY_EVENT_LOG_UNREACHABLE')
        return !inspect(error, { depth: 10 }).includes(PASSWORD)
      })
    })
  }
})
