/** A real Kafka for a test: the shared one of the test run (RELAY_TEST_KAFKA), or a separate one. */
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import getPort from 'get-port'

import { findJava, startKafka, type LocalKafkaSettings } from '../relay-stack/src/kafka.ts'
import { shortLivedJvm } from './short-lived-jvm.ts'
import { createLogger } from 'relay-common'

export interface LocalKafkaForTests {
  readonly bootstrapServers: string
  /** folder of the jars, for tests that run one of Kafka's tools */
  readonly cacheDir: string
}

/** Kept between runs, outside of version control. */
const cacheDir = fileURLToPath(new URL('../.relay/kafka', import.meta.url))

let ofThisFile: Promise<OwnKafka> | undefined
let classicOfThisFile: Promise<OwnKafka> | undefined

after(async () => {
  await (await ofThisFile)?.close()
  await (await classicOfThisFile)?.close()
})

/**
 * A shared broker: topics have unique names. One that this file starts ends with the file.
 * @returns undefined if Java or Maven is missing: then the test is skipped with a message; in CI that is a failure
 */
export async function openLocalKafka (t: TestContext): Promise<LocalKafkaForTests | undefined> {
  const shared = process.env.RELAY_TEST_KAFKA
  if (shared) return { bootstrapServers: shared, cacheDir }
  return await canRunKafka(t) ? await (ofThisFile ??= startTestKafka()) : undefined
}

/**
 * A broker that only supports classic groups, as before Kafka 4.0 or if configured. Tests of a file share it.
 * Undefined: as above
 */
export async function openClassicKafka (t: TestContext): Promise<LocalKafkaForTests | undefined> {
  return await canRunKafka(t)
    ? await (classicOfThisFile ??= startTestKafka({
      properties: ['group.coordinator.rebalance.protocols=classic', 'group.min.session.timeout.ms=1000']
    }))
    : undefined
}

/** A separate broker, whose files the test may change; it ends with the test. Undefined: as above */
export async function openOwnKafka (
  t: TestContext, settings: TestKafkaSettings = {}
): Promise<OwnKafka | undefined> {
  if (!await canRunKafka(t)) return undefined
  const kafka = await startTestKafka(settings)
  t.after(() => kafka.close())
  return kafka
}

/** Whether this machine can run Kafka; if not, the test is skipped with a message, and in CI it fails. */
export async function canRunKafka (t: TestContext): Promise<boolean> {
  const java = await findJava(cacheDir)
  if (java.kind !== 'missing') return true
  if (process.env.CI) throw new Error(`these tests need ${java.what}`)
  t.skip(`a local Kafka needs ${java.what}`)
  return false
}

export interface OwnKafka extends LocalKafkaForTests {
  readonly dataDir: string
  readonly pid: number
  /** Stops it, unless it has ended by itself, and starts it again. */
  restart (): Promise<void>
  close (): Promise<void>
}

export type TestKafkaSettings = Partial<Pick<LocalKafkaSettings, 'port' | 'properties' | 'metricsPort'>> & {
  /** of its data; left out: that of temporary files */
  readonly place?: string
}

/** What formatting a broker's folder leaves there, which takes a JVM of its own, 2 s of CPU. */
const FORMATTED = ['meta.properties', 'bootstrap.checkpoint']

/** Starts a broker in a folder that is removed with it. */
export async function startTestKafka ({ place = tmpdir(), ...settings }: TestKafkaSettings = {}): Promise<OwnKafka> {
  const dataDir = await mkdtemp(join(place, 'relay-test-kafka-'))
  // that of the shared broker; clusters never meet, so ids may repeat
  const formatted = process.env.RELAY_TEST_KAFKA_FORMATTED
  if (formatted !== undefined) {
    await mkdir(join(dataDir, 'log'))
    for (const it of FORMATTED) await copyFile(join(formatted, it), join(dataDir, 'log', it))
  }
  const port = settings.port ?? await getPort({ host: '127.0.0.1' })
  const start = () => startKafka({
    ...settings, cacheDir, dataDir, port, jvmArgs: shortLivedJvm, log: createLogger('test', 'warn')
  })
  let kafka = await start()
  return {
    bootstrapServers: kafka.bootstrapServers,
    cacheDir,
    dataDir,
    get pid () { return kafka.pid },
    async restart () {
      await kafka.close()
      kafka = await start()
    },
    async close () {
      await kafka.close()
      await rm(dataDir, { recursive: true, force: true })
    }
  }
}
