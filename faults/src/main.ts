/**
 * `npm run test:faults`: real Kafka brokers, a real PostgreSQL and several processors under load, with faults. Nothing
 * may be lost or counted twice; the exit code shows it.
 */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Command, InvalidArgumentError } from 'commander'
import { version } from 'relay-common'

import { faults } from './cases.ts'
import type { Fault } from './fault.ts'
import { openSite } from './site.ts'
import { hasFailed, runFaults, type FaultReport } from './suite.ts'

interface Options {
  readonly only?: Fault[]
  readonly minutes: number
  readonly seed: number
  readonly brokers: number
  readonly processors: number
  readonly rate: number
  readonly keep?: boolean
}

const cacheDir = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))
const resultsFile = fileURLToPath(new URL('../results/faults.json', import.meta.url))
/** share of a fault's time for causing it; the rest is for recovery and checks */
const SPAN_SHARE = 0.5

const names = faults.map(it => it.name)

function addFault (name: string, chosen: Fault[] = []): Fault[] {
  const found = faults.find(it => it.name === name)
  if (!found) throw new InvalidArgumentError(`it is one of ${names.join(', ')}`)
  return [...chosen, found]
}

const program = new Command('test:faults').version(version)
  .description('Faults on real Kafka and PostgreSQL under load, and a recomputation of everything after each')
  .option('--only <fault>', `one kind alone (may be repeated): ${names.join(', ')}`, addFault)
  .option('--minutes <n>', 'how long all of it takes, about', Number, 7)
  .option('--seed <n>', 'what happens when, and what is sent', Number, Date.now() % 1_000_000)
  .option('--brokers <n>', 'Kafka brokers: 1, or 3 and more', Number, 3)
  .option('--processors <n>', 'processors that share the partitions', Number, 3)
  .option('--rate <n>', 'events a second', Number, 1_000)
  .option('--keep', 'leave data and logs where they are')

async function run (options: Options): Promise<void> {
  const chosen = (options.only ?? faults).filter(it => (it.brokersMin ?? 1) <= options.brokers)
  await using opened = new AsyncDisposableStack()
  const interrupted = () => { opened.disposeAsync().finally(() => process.exit(130)) }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, interrupted)
    opened.defer(() => { process.off(signal, interrupted) })
  }
  const folder = await mkdtemp(join(tmpdir(), 'relay-faults-'))
  await chmod(folder, 0o755) // root runs PostgreSQL as another user
  if (options.keep) console.log(`data and logs: ${folder}`)
  else opened.defer(() => rm(folder, { recursive: true, force: true }))

  const { seed, brokers, processors, rate } = options
  console.log(`seed ${seed}; ${brokers} brokers, ${processors} processors, ${rate} events/s`)
  const settings = { folder, cacheDir, seed, brokers, processors, eventsPerSecond: rate }
  const site = opened.adopt(await openSite(settings), it => it.close())
  const reports: FaultReport[] = []
  const spanMs = options.minutes * 60_000 / chosen.length * SPAN_SHARE
  await runFaults(site, chosen, seed, spanMs, report => {
    reports.push(report)
    say(report)
  })
  await keep(reports, options)
  if (reports.some(hasFailed)) process.exitCode = 1
}

function say (report: FaultReport): void {
  const { title, times, events, rows, lost, doubled, resent, recoverySeconds, note } = report
  const outcome = hasFailed(report) ? 'FAILED' : 'ok'
  const checked = `${events.toLocaleString('en')} events, ${rows.toLocaleString('en')} rows`
  console.log(`${outcome}  ${title}: ${times} times; ${checked}; lost ${lost}, doubled ${doubled}; ` +
    `${resent} sent again; caught up after ${recoverySeconds.toFixed(1)} s${note ? `; ${note}` : ''}`)
  for (const it of [...report.wrong, ...report.ownEnds.map(it => `started again: ${it}`)]) console.log(`    ${it}`)
}

/** The table, and the same as JSON. */
async function keep (reports: readonly FaultReport[], options: Options): Promise<void> {
  console.log()
  console.table(reports.map(it => ({
    fault: it.title,
    times: it.times,
    'events so far': it.events,
    'rows compared': it.rows,
    lost: it.lost,
    doubled: it.doubled,
    'recovery s': Number(it.recoverySeconds.toFixed(1))
  })))
  const { seed, brokers, processors, rate } = options
  const machine = `${cpus().length} x ${cpus()[0].model}`
  const result = { date: new Date().toISOString(), machine, seed, brokers, processors, eventsPerSecond: rate, reports }
  await mkdir(dirname(resultsFile), { recursive: true })
  await writeFile(resultsFile, JSON.stringify(result, null, 2) + '\n')
}

await program.action(run).parseAsync()
