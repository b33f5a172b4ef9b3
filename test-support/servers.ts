/**
 * The servers of a test run, if its files use them: one PostgreSQL and one Kafka, in RELAY_TEST_POSTGRES and
 * RELAY_TEST_KAFKA for test files. A file that runs alone starts its own. However the run ends, a guardian cleans up.
 * If one of these variables is set before, that server is used in place of ours, such as one of another version.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { startTestKafka } from './local-kafka.ts'
import { makeTemplate, startTestPostgres } from './local-postgres.ts'
import { findJava } from '../relay-stack/src/kafka.ts'
import { startGuardian } from './guardian.ts'

const cacheDir = fileURLToPath(new URL('../.relay/kafka', import.meta.url))
/** Compile cache shared by all files and programs, also in the next run: it halves the CPU of a start. */
const compiledDir = fileURLToPath(new URL('../.relay/compiled', import.meta.url))
const running = new AsyncDisposableStack()

export async function globalSetup (): Promise<void> {
  process.env.NODE_COMPILE_CACHE ??= compiledDir
  if (existsSync('/proc/self/environ')) running.adopt(startGuardian(), it => it.close())
  try {
    await Promise.all([isUsed('postgres') && startPostgres(), isUsed('kafka') && startKafka()])
  } catch (error) {
    await running.disposeAsync()
    throw error
  }
}

export async function globalTeardown (): Promise<void> {
  await running.disposeAsync()
}

/** RELAY_TEST_SERVERS has the servers that the files of the run use; not set: all. */
function isUsed (server: 'postgres' | 'kafka'): boolean {
  return process.env.RELAY_TEST_SERVERS?.split(',').includes(server) ?? true
}

async function startPostgres (): Promise<void> {
  const given = process.env.RELAY_TEST_POSTGRES
  if (given) return await makeTemplate(given)
  const postgres = running.adopt(await startTestPostgres(), it => it.close())
  endWithUs(postgres.server.pid, 'SIGQUIT')
  process.env.RELAY_TEST_POSTGRES = postgres.url
}

async function startKafka (): Promise<void> {
  if (process.env.RELAY_TEST_KAFKA) return
  const java = await findJava(cacheDir)
  if (java.kind === 'missing') {
    if (process.env.CI) throw new Error(`the tests need ${java.what}`)
    console.log(`without ${java.what}: what needs Kafka is skipped`)
    return
  }
  const kafka = running.adopt(await startTestKafka(), it => it.close())
  endWithUs(kafka.pid, 'SIGKILL')
  process.env.RELAY_TEST_KAFKA = kafka.bootstrapServers
  process.env.RELAY_TEST_KAFKA_FORMATTED = join(kafka.dataDir, 'log')
}

/** An interrupted run has no teardown, and the servers are in process groups of their own. */
function endWithUs (pid: number, signal: NodeJS.Signals): void {
  const end = () => { process.kill(pid, signal) }
  process.once('exit', end)
  running.defer(() => { process.off('exit', end) })
}
