/**
 * Downloads Kafka's jars, and runs their classes.
 *
 *     kafka/pom.xml           --Maven--> cacheDir/<hash of the pom>/*.jar, complete
 *     kafka/exporter/pom.xml  --Maven--> the same: the exporter of its metrics, if it is asked for
 *
 * `complete` is written last, and the folder is renamed when it is filled. So a folder with that name is complete,
 * whoever was killed meanwhile and however many download at once.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { RelayError, type Logger } from 'relay-common'

import { explainFileError } from './file-error.ts'
import { explainMaven } from './maven-failure.ts'

const POM = fileURLToPath(new URL('../kafka/pom.xml', import.meta.url))
const EXPORTER_POM = fileURLToPath(new URL('../kafka/exporter/pom.xml', import.meta.url))
const JAVA_VERSION_MIN = 17 // required by Kafka 4 brokers
const STAMP = 'complete'
const RUN_TIMEOUT_MS = 15 * 60_000
/** Limits for a network that drops everything. The first is for Maven before 3.9. */
const NETWORK_LIMITS = [
  '-Dmaven.wagon.rto=30000', '-Daether.connector.connectTimeout=10000', '-Daether.connector.requestTimeout=30000'
]

const runFile = promisify(execFile)

/**
 * Java decodes file names by the locale. Without UTF-8 in it, for example if LANG is not set, it could not open a path
 * with non-ASCII characters.
 */
export function javaEnvironment (): NodeJS.ProcessEnv {
  const { LC_ALL, LC_CTYPE, LANG } = process.env
  const isUtf8 = /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '')
  return isUtf8 || process.platform !== 'linux' ? process.env : { ...process.env, LC_ALL: 'C.UTF-8' }
}

/** Runs a program to its end. @returns its output, stdout first */
export async function run (command: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  const options = { maxBuffer: 16 * 1024 * 1024, signal, env: javaEnvironment(), timeout: RUN_TIMEOUT_MS }
  const { stdout, stderr } = await runFile(command, args, options)
  return stdout + stderr
}

export type FoundJava =
  | { readonly kind: 'found', readonly version: number, readonly isInstalled: boolean }
  | { readonly kind: 'missing', readonly what: string }

/**
 * Checks whether a local Kafka can run here.
 * @param cacheDir may have jars already; then Maven is not needed
 */
export async function findJava (cacheDir?: string): Promise<FoundJava> {
  const said = await run(javaCommand(), ['-version']).catch(() => undefined)
  const version = Number(/version "(?:1\.)?(\d+)/.exec(said ?? '')?.[1] ?? 0)
  const missing: string[] = []
  if (version < JAVA_VERSION_MIN) {
    const home = process.env.JAVA_HOME ? `, of JAVA_HOME ${process.env.JAVA_HOME}` : ''
    missing.push(`Java ${JAVA_VERSION_MIN} or newer` + (version > 0 ? ` (not ${version}${home})` : home))
  }
  const isInstalled = cacheDir !== undefined && isComplete(jarsDir(cacheDir))
  if (!isInstalled && await run('mvn', ['--version']).catch(() => undefined) === undefined) missing.push('Maven')
  return missing.length === 0
    ? { kind: 'found', version, isInstalled }
    : { kind: 'missing', what: missing.join(' and ') }
}

/** `java` of JAVA_HOME if set, else of PATH. */
export function javaCommand (): string {
  const home = process.env.JAVA_HOME
  return home ? join(home, 'bin', 'java') : 'java'
}

/**
 * Downloads Kafka's jars (55 MB) unless they exist.
 * @throws RelayError RELAY_CONFIG_INVALID with the message of Maven
 */
export async function installKafka (cacheDir: string, log: Logger, signal?: AbortSignal): Promise<void> {
  if (isComplete(jarsDir(cacheDir))) return
  const found = await findJava(cacheDir)
  if (found.kind === 'missing') {
    throw new RelayError('RELAY_CONFIG_INVALID', `a local Kafka needs ${found.what} on PATH`)
  }
  log.info({ cacheDir }, 'fetching Kafka with Maven, once')
  await fetchJars('Kafka', POM, cacheDir, signal)
}

/**
 * Downloads the exporter of Kafka's metrics (3 MB) unless it exists.
 * @returns path of its jar, a Java agent
 * @throws RelayError RELAY_CONFIG_INVALID with the message of Maven
 */
export async function installKafkaExporter (cacheDir: string, signal?: AbortSignal): Promise<string> {
  const folder = jarsDir(cacheDir, EXPORTER_POM)
  if (!isComplete(folder)) await fetchJars('the exporter of Kafka\'s metrics', EXPORTER_POM, cacheDir, signal)
  return join(folder, readdirSync(folder).find(it => it.endsWith('.jar'))!)
}

const isComplete = (folder: string) => existsSync(join(folder, STAMP))

async function fetchJars (what: string, pom: string, cacheDir: string, signal?: AbortSignal): Promise<void> {
  const target = jarsDir(cacheDir, pom)
  const scratch = await makeScratch(cacheDir)
  try {
    // by its full name: with the short one, Maven reports another error than an unreachable network
    const [, version] = /maven-dependency-plugin<\/artifactId>\s*<version>([^<]+)/.exec(readFileSync(pom, 'utf8'))!
    await run('mvn', ['--batch-mode', '--quiet', '--file', pom,
      `org.apache.maven.plugins:maven-dependency-plugin:${version}:copy-dependencies`,
      `-DoutputDirectory=${scratch}`, '-DincludeScope=runtime', ...NETWORK_LIMITS], signal)
    await writeFile(join(scratch, STAMP), '')
    await rename(scratch, target)
  } catch (cause) {
    await rm(scratch, { recursive: true, force: true })
    if (isComplete(target)) return // somebody else was faster
    const { stdout = '', stderr = '' } = cause as { stdout?: string, stderr?: string }
    const why = stdout + stderr === '' ? (cause as Error).message : explainMaven(stdout + stderr)
    throw new RelayError('RELAY_CONFIG_INVALID', `Maven could not fetch ${what}: ${why}`, { cause })
  }
}

async function makeScratch (cacheDir: string): Promise<string> {
  try {
    await mkdir(cacheDir, { recursive: true })
    return await mkdtemp(join(cacheDir, 'fetching-'))
  } catch (error) {
    throw explainFileError(error, `the folder ${cacheDir} for Kafka's jars`, '--kafka-cache')
  }
}

/** A changed pom needs other jars. */
function jarsDir (cacheDir: string, pom = POM): string {
  return join(cacheDir, createHash('sha256').update(readFileSync(pom)).digest('hex').slice(0, 16))
}

/** Location of the class archive, which only fits these jars. */
export function classArchivePath (cacheDir: string): string {
  return join(jarsDir(cacheDir), 'broker-classes.jsa')
}

/** Kafka looks for words in capitals: in Turkish `classic` becomes `CLASSİC`, which it does not know. */
const ENGLISH = ['-Duser.language=en', '-Duser.country=US', '-Duser.variant=']

/**
 * Command of a class of the installed Kafka: a tool (`org.apache.kafka.tools.ConsumerPerformance`), or the broker.
 * @param jvmArgs come before the class
 */
export function kafkaTool (
  cacheDir: string, mainClass: string, args: readonly string[], jvmArgs: readonly string[] = []
): { command: string, args: string[] } {
  // Java itself expands the star, so no shell is needed; the order of the jars does not matter
  const all = [...ENGLISH, ...jvmArgs, '-cp', join(jarsDir(cacheDir), '*'), mainClass, ...args]
  return { command: javaCommand(), args: all }
}
