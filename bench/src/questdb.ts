/**
 * QuestDB on this machine, set up as its documentation advises: a WAL table, partitions by the number of rows per day,
 * deduplication by time and series, an index of devices, lines over HTTP. Maven fetches its jars by
 * `../questdb/pom.xml`, once, into `.relay/questdb`. It needs Java 17.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import getPort from 'get-port'

import { javaCommand } from '../../relay-stack/src/kafka-install.ts'
import { installList, run } from 'relay-test-support/install-once.ts'
import { endWith } from './children.ts'
import type { FleetDevice } from './history-fleet.ts'

export interface QuestDb extends AsyncDisposable {
  readonly url: string
  readonly pid: number
}

export interface QuestDbSettings {
  readonly folder: string
  /** commits wait for the disk, as in PostgreSQL; by default they don't */
  readonly isSynced?: boolean
}

const POM = new URL('../questdb/pom.xml', import.meta.url)
const START_LIMIT_MS = 60_000
const APPLY_LIMIT_MS = 900_000
const STOP_LIMIT_MS = 20_000

/** those of its own start script */
const JVM_ARGS = ['-XX:+UnlockExperimentalVMOptions', '-XX:+AlwaysPreTouch', '-XX:+UseParallelGC']

export const questDbVersion = /<questdb.version>(.*)<\/questdb.version>/.exec(readFileSync(POM, 'utf8'))![1]

/** @returns the folder of its jars; fetches them first if needed */
async function installQuestDb (): Promise<string> {
  return await installList('questdb', POM, (pom, folder) => run('mvn', ['--batch-mode', '--quiet', '--file', pom,
    'dependency:copy-dependencies', `-DoutputDirectory=${folder}`, '-DincludeScope=runtime']))
}

/** Starts QuestDB on an empty folder and waits until it answers. */
export async function startQuestDb ({ folder, isSynced = false }: QuestDbSettings): Promise<QuestDb> {
  const jars = await installQuestDb()
  await mkdir(folder, { recursive: true })
  const port = await getPort({ host: '127.0.0.1' })
  const logFile = join(folder, 'questdb.log')
  const output = await open(logFile, 'a')
  const child = spawn(javaCommand(),
    [...JVM_ARGS, '-p', jars, '-m', 'io.questdb/io.questdb.ServerMain', '-d', folder, '-n'], {
      cwd: folder,
      stdio: ['ignore', output.fd, output.fd],
      env: {
        ...process.env,
        QDB_HTTP_BIND_TO: `127.0.0.1:${port}`,
        QDB_HTTP_MIN_ENABLED: 'false',
        QDB_PG_ENABLED: 'false',
        QDB_LINE_TCP_ENABLED: 'false',
        QDB_TELEMETRY_ENABLED: 'false',
        QDB_QUERY_TIMEOUT_SEC: '600',
        QDB_CAIRO_COMMIT_MODE: isSynced ? 'sync' : 'nosync'
      }
    })
  const ending = endWith(child)
  await output.close()
  const exited = new Promise<void>(resolve => child.once('close', () => resolve()).once('error', () => resolve()))
  const url = `http://127.0.0.1:${port}`
  const deadline = Date.now() + START_LIMIT_MS
  while (!await fetch(`${url}/exec?query=select+1`).then(it => it.ok, () => false)) {
    if (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
      await delay(50)
      continue
    }
    ending[Symbol.dispose]()
    throw new Error(`QuestDB did not start: ${(await readFile(logFile, 'utf8')).slice(-2_000)}`)
  }
  return {
    url,
    pid: child.pid!,
    async [Symbol.asyncDispose] () {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS)
      await exited
      clearTimeout(timer)
      ending[Symbol.dispose]()
    }
  }
}

/** Rows a day from which its documentation advises partitions of an hour. */
const HOURLY_FROM_ROWS = 10_000_000

/** Creates the table that all readings go to. */
export async function createReadings (url: string, devices: number, rowsPerDay: number): Promise<void> {
  const capacity = 2 ** Math.ceil(Math.log2(devices + 1))
  await queryQuestDb(url, `
    create table readings (
      ts timestamp, device symbol capacity ${capacity} index, zone symbol, type symbol, value double
    ) timestamp(ts) partition by ${rowsPerDay >= HOURLY_FROM_ROWS ? 'hour' : 'day'} wal
    dedup upsert keys(ts, device, zone, type)`)
}

/** The part of a line before the value, the same for all readings of a device. */
export function lineStart ({ id, zone, type }: FleetDevice): string {
  const escape = (text: string) => text.replace(/[ ,=\\]/g, '\\$&')
  return `readings,device=${escape(id)},zone=${escape(zone)},type=${escape(type)} value=`
}

/** Writes lines, in one transaction. Times in them are in ms. */
export async function sendLines (url: string, lines: string): Promise<void> {
  const answer = await fetch(`${url}/write?precision=ms`, { method: 'POST', body: lines })
  const said = await answer.text()
  if (!answer.ok) throw new Error(`QuestDB answered ${answer.status}: ${said}`)
}

export type Cell = string | number | null

/** @returns the rows of the answer */
export async function queryQuestDb (url: string, sql: string): Promise<Cell[][]> {
  const answer = await fetch(`${url}/exec?${new URLSearchParams({ query: sql })}`)
  const body = await answer.json() as { dataset?: Cell[][], error?: string }
  if (!answer.ok) throw new Error(`QuestDB answered ${answer.status} ${body.error} to ${sql}`)
  return body.dataset ?? []
}

/** Waits until all that was written can be seen in answers. */
export async function untilApplied (url: string): Promise<void> {
  for (const deadline = Date.now() + APPLY_LIMIT_MS; ;) {
    const [[isSuspended, applied, written]] = await queryQuestDb(url,
      "select suspended, writerTxn, sequencerTxn from wal_tables() where name = 'readings'")
    if (applied === written) return
    if (isSuspended || Date.now() > deadline) throw new Error(`QuestDB applied ${applied} of ${written} transactions`)
    await delay(20)
  }
}
