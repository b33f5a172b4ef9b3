/** A broker that requires TLS, a login, or a certificate, with generated certificates. */
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

import { ScramMechanisms } from '@platformatic/kafka'
import getPort from 'get-port'

import { asProperty, makeCertificates, type Certificates } from './certificates.ts'
import { KafkaClient } from '../relay-event-log/src/kafka/client.ts'
import { openOwnKafka } from './local-kafka.ts'

export const USER = 'relay'
export const PASSWORD = 'a password, of "the" tests'

const HOST = '127.0.0.1'
const SCRAM_ITERATIONS = 4_096

/** `host:port` of each listener */
export interface SecuredKafka {
  /** neither TLS nor a login */
  readonly open: string
  /** TLS */
  readonly tls: string
  /** TLS, with a certificate for another host */
  readonly misnamed: string
  /** TLS on both sides: clients have certificates */
  readonly mutual: string
  /** TLS and a PLAIN login */
  readonly plain: string
  /** TLS and a SCRAM login */
  readonly scram: string
  /** of the broker; clients may use them too */
  readonly own: Certificates
  /** of an authority unknown to the broker */
  readonly foreign: Certificates
  /** of the misnamed listener */
  readonly elsewhere: Certificates
}

/** @returns undefined if Java or Maven is missing: then the test is skipped */
export async function openSecuredKafka (t: TestContext): Promise<SecuredKafka | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-certificates-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const own = await makeCertificates(folder, 'own')
  const foreign = await makeCertificates(folder, 'foreign')
  const elsewhere = await makeCertificates(folder, 'elsewhere', 'DNS:kafka.example')

  const ports = new Set<number>()
  while (ports.size < 7) ports.add(await getPort({ host: HOST, exclude: [...ports] }))
  const [port, ...others] = ports
  const [tls, misnamed, mutual, plain, scram, controller] = others.map(it => `${HOST}:${it}`)
  const listeners = [`PLAINTEXT://${HOST}:${port}`, `TLS://${tls}`, `MISNAMED://${misnamed}`, `MUTUAL://${mutual}`,
    `PLAIN://${plain}`, `SCRAM://${scram}`]
  const kafka = await openOwnKafka(t, {
    port,
    properties: [
      `controller.quorum.voters=1@${controller}`,
      `listeners=${[...listeners, `CONTROLLER://${controller}`].join()}`,
      `advertised.listeners=${listeners.join()}`,
      'listener.security.protocol.map=' +
        'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,MISNAMED:SSL,MUTUAL:SSL,PLAIN:SASL_SSL,SCRAM:SASL_SSL',
      ...await keyStore('', own),
      'ssl.truststore.type=PEM',
      `ssl.truststore.certificates=${await asProperty(own.caFile)}`,
      ...await keyStore('listener.name.misnamed.', elsewhere),
      'listener.name.mutual.ssl.client.auth=required',
      'listener.name.plain.sasl.enabled.mechanisms=PLAIN',
      'listener.name.plain.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required ' +
        `user_${USER}=${JSON.stringify(PASSWORD).replaceAll('\\', '\\\\')};`,
      'listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512',
      ...['256', '512'].map(bits => `listener.name.scram.scram-sha-${bits}.sasl.jaas.config=` +
        'org.apache.kafka.common.security.scram.ScramLoginModule required;')
    ]
  })
  if (!kafka) return undefined
  await addScramUser(kafka.bootstrapServers)
  return { open: kafka.bootstrapServers, tls, misnamed, mutual, plain, scram, own, foreign, elsewhere }
}

async function keyStore (prefix: string, { certFile, keyFile }: Certificates): Promise<string[]> {
  return [
    `${prefix}ssl.keystore.type=PEM`,
    `${prefix}ssl.keystore.certificate.chain=${await asProperty(certFile)}`,
    `${prefix}ssl.keystore.key=${await asProperty(keyFile)}`
  ]
}

/** The broker stores hashes of this password, one per mechanism. */
async function addScramUser (server: string): Promise<void> {
  const client = new KafkaClient({ bootstrapServers: [server], clientId: 'test' })
  try {
    const salt = randomBytes(16)
    for (const [mechanism, digest, bytes] of [
      [ScramMechanisms.SCRAM_SHA_256, 'sha256', 32], [ScramMechanisms.SCRAM_SHA_512, 'sha512', 64]
    ] as const) {
      const saltedPassword = pbkdf2Sync(PASSWORD, salt, SCRAM_ITERATIONS, bytes, digest)
      await client.retry(30_000, async () => client.call('AlterUserScramCredentials', await client.anyBroker(), [],
        [{ name: USER, mechanism, iterations: SCRAM_ITERATIONS, salt, saltedPassword }]))
    }
  } finally {
    await client.close()
  }
}
