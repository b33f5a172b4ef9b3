/**
 * Brings Kafka's jars to this machine, and says how to run a class of them.
 *
 *     kafka/pom.xml --Maven--> cacheDir/<hash of the pom>/*.jar, complete
 *
 * `complete` is written last, and the folder gets its name when it is filled: a folder of that name is whole, whoever
 * was killed meanwhile and however many fetch at once.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { RelayError, type Logger } from 'relay-common'

const POM = fileURLToPath(new URL('../kafka/pom.xml', import.meta.url))
const JAVA_VERSION_MIN = 17 // what a Kafka 4 broker asks for
const STAMP = 'complete'

const runFile = promisify(execFile)

/** Runs a program to its end. @returns what it wrote, stdout first */
export async function run (command: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  const { stdout, stderr } = await runFile(command, args, { maxBuffer: 16 * 1024 * 1024, signal })
  return stdout + stderr
}

export type FoundJava =
  | { readonly kind: 'found', readonly version: number, readonly isInstalled: boolean }
  | { readonly kind: 'missing', readonly what: string }

/**
 * Looks whether a local Kafka can run here.
 * @param cacheDir where jars may lie already; then Maven need not be there
 */
export async function findJava (cacheDir?: string): Promise<FoundJava> {
  const said = await run(javaCommand(), ['-version']).catch(() => undefined)
  const version = Number(/version "(?:1\.)?(\d+)/.exec(said ?? '')?.[1] ?? 0)
  const missing: string[] = []
  if (version < JAVA_VERSION_MIN) {
    missing.push(`Java ${JAVA_VERSION_MIN} or newer` + (version > 0 ? ` (not ${version})` : ''))
  }
  const isInstalled = cacheDir !== undefined && existsSync(join(jarsDir(cacheDir), STAMP))
  if (!isInstalled && await run('mvn', ['--version']).catch(() => undefined) === undefined) missing.push('Maven')
  return missing.length === 0
    ? { kind: 'found', version, isInstalled }
    : { kind: 'missing', what: missing.join(' and ') }
}

/** `java` of JAVA_HOME where that is set, else of PATH. */
export function javaCommand (): string {
  const home = process.env.JAVA_HOME
  return home ? join(home, 'bin', 'java') : 'java'
}

/**
 * Fetches Kafka's jars (55 MB) unless they are there.
 * @throws RelayError RELAY_CONFIG_INVALID with what Maven said
 */
export async function installKafka (cacheDir: string, log: Logger, signal?: AbortSignal): Promise<void> {
  const target = jarsDir(cacheDir)
  if (existsSync(join(target, STAMP))) return
  const found = await findJava(cacheDir)
  if (found.kind === 'missing') {
    throw new RelayError('RELAY_CONFIG_INVALID', `a local Kafka needs ${found.what} on PATH`)
  }

  log.info({ cacheDir }, 'fetching Kafka with Maven, once')
  await mkdir(cacheDir, { recursive: true })
  const scratch = await mkdtemp(join(cacheDir, 'fetching-'))
  try {
    await run('mvn', ['--batch-mode', '--quiet', '--file', POM, 'dependency:copy-dependencies',
      `-DoutputDirectory=${scratch}`, '-DincludeScope=runtime'], signal)
    await writeFile(join(scratch, STAMP), '')
    await rename(scratch, target)
  } catch (cause) {
    await rm(scratch, { recursive: true, force: true })
    if (existsSync(join(target, STAMP))) return // somebody else was faster
    const { stdout = '', stderr = '' } = cause as { stdout?: string, stderr?: string }
    const said = (stdout + stderr).trim().split('\n').slice(0, 5).join('\n')
    throw new RelayError('RELAY_CONFIG_INVALID', `Maven could not fetch Kafka: ${said || String(cause)}`, { cause })
  }
}

/** A pom that changes asks for other jars. */
function jarsDir (cacheDir: string): string {
  return join(cacheDir, createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 16))
}

/** Where the archive of loaded classes belongs: it fits these jars alone. */
export function classArchivePath (cacheDir: string): string {
  return join(jarsDir(cacheDir), 'broker-classes.jsa')
}

/**
 * How to run a class of the installed Kafka: a tool (`org.apache.kafka.tools.ConsumerPerformance`), or the broker.
 * @param jvmArgs go before the class
 */
export function kafkaTool (
  cacheDir: string, mainClass: string, args: readonly string[], jvmArgs: readonly string[] = []
): { command: string, args: string[] } {
  // Java itself expands the star: no shell is needed, and the order of the jars does not matter
  return { command: javaCommand(), args: [...jvmArgs, '-cp', join(jarsDir(cacheDir), '*'), mainClass, ...args] }
}
