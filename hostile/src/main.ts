/**
 * `npm run test:hostile`: attacks on a real site, while an honest client is measured. None may stop, starve or corrupt
 * the site for others; the exit code shows it.
 */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Command, InvalidArgumentError, Option } from 'commander'
import { version } from 'relay-common'

import { findJava } from '../../relay-stack/src/kafka.ts'
import { kindOf, type Attack } from './attack.ts'
import { attacks, sampleOf } from './attacks.ts'
import { startHonest } from './children.ts'
import { FLOOR_MS } from './judge.ts'
import { spreadOf } from './latency.ts'
import { FULL, knownQuestions, LIVE_ZONE, prepare, SMALL } from './prepare.ts'
import { openSite, type EventLogName } from './site.ts'
import { runSuite, type AttackReport, type Suite } from './suite.ts'

interface Options {
  readonly only?: Attack[]
  readonly sample?: boolean
  readonly seed: number
  readonly eventLog?: EventLogName
  readonly quick?: boolean
  readonly keep?: boolean
  readonly floorMs: number
}

const cacheDir = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))
const resultsFile = fileURLToPath(new URL('../results/hostile.json', import.meta.url))
const GENERATED = 1_000
const GENERATED_QUICK = 100
const SPAN_MS = 1_500
const QUIET_MS = 10_000
const QUIET_QUICK_MS = 5_000
/** 40 queries and 30 events per second: enough for a p99 of a short attack, with a tenth of a core */
const EVERY_MS = { question: 25, http: 50, mqtt: 100, look: 500 }

function addAttacks (name: string, chosen: Attack[] = []): Attack[] {
  const found = attacks.filter(it => it.name === name || kindOf(it.name) === name)
  if (found.length === 0) throw new InvalidArgumentError('It is the name of an attack or of a kind; --list shows them.')
  return [...chosen, ...found]
}

const program = new Command('test:hostile').version(version)
  .description('Attacks on a real site, with an honest client measured beside each of them')
  .option('--only <attack>', 'one attack, or one kind of them (may be repeated)', addAttacks)
  .option('--sample', 'one attack of each kind: the seed decides which')
  .option('--seed <n>', 'what is generated', Number, Date.now() % 1_000_000)
  .addOption(new Option('--event-log <log>', 'default: kafka where Java 17 and Maven are there, else postgres').choices(
    ['kafka', 'postgres']
  ))
  .option('--quick', 'a small site and few generated requests, for those who write attacks; its results are not kept')
  .option(
    '--floor-ms <ms>', 'an honest p99 up to here is never too slow; more for a machine that has other things to do',
    Number, FLOOR_MS
  )
  .option('--keep', 'leave data and logs where they are')
  .option('--list', 'show the attacks, and make none')

let isInterrupted = false

async function run (options: Options & { readonly list?: boolean }): Promise<void> {
  if (options.list) {
    for (const { name, who, input } of attacks) console.log(`${name.padEnd(40)} ${who.padEnd(10)} ${input}`)
    return
  }
  const wanted = options.only ?? attacks
  const chosen = options.sample ? sampleOf(wanted, options.seed) : wanted
  const eventLog = options.eventLog ?? ((await findJava(cacheDir)).kind === 'missing' ? 'postgres' : 'kafka')
  const startedMs = performance.now()
  await using opened = new AsyncDisposableStack()
  const reports = new Map<string, AttackReport>()
  const interrupted = () => {
    if (isInterrupted) return // npm and a shell each forward a Ctrl-C
    isInterrupted = true
    console.log(`interrupted; ${reports.size} of ${chosen.length} attacks were made`)
    tellFailed([...reports.values()])
    opened.disposeAsync().finally(() => process.exit(130))
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, interrupted)
    opened.defer(() => { process.off(signal, interrupted) })
  }
  const folder = await mkdtemp(join(tmpdir(), 'relay-hostile-'))
  await chmod(folder, 0o755) // root runs PostgreSQL as another user
  if (options.keep) console.log(`data and logs: ${folder}`)
  else opened.defer(() => rm(folder, { recursive: true, force: true }))

  console.log(`seed ${options.seed}; ${chosen.length} attacks; events in ${eventLog}`)
  const site = opened.adopt(await openSite({ folder, cacheDir, eventLog }), it => it.close())
  const scale = options.quick ? SMALL : FULL
  await prepare(site, scale)
  const sinceStart = () => `${((performance.now() - startedMs) / 1_000).toFixed(0)} s`
  const of = (n: number, what: string) => `${n.toLocaleString('en')} ${what}`
  console.log(
    `prepared after ${sinceStart()}: ${of(scale.devices, 'devices in one zone')}, ${of(scale.zones, 'zones')}, ${of(scale.weeks, 'weeks')}`
  )

  const honest = opened.adopt(await startHonest({
    apiPort: site.apiPort,
    mqttPort: site.mqttPort,
    readToken: await site.makeKey('honest reader', { scopes: ['events:read'] }),
    writeToken: await site.makeKey('honest sender', { scopes: ['events:write'], zones: [LIVE_ZONE] }),
    questions: knownQuestions(scale),
    liveZone: LIVE_ZONE,
    everyMs: EVERY_MS
  }), it => it.close())
  const settings = {
    seed: options.seed,
    generated: options.quick ? GENERATED_QUICK : GENERATED,
    spanMs: SPAN_MS,
    quietMs: options.quick ? QUIET_QUICK_MS : QUIET_MS,
    floorMs: options.floorMs
  }
  const suite = await runSuite(site, honest, chosen, settings, it => {
    reports.set(it.name, it)
    say(it, sinceStart())
  })
  const lost = await countLost(honest)

  const failed = suite.reports.filter(it => it.broken.length > 0)
  tellQuiet(suite)
  const whole = suite.reports.length === attacks.length && !options.quick
  if (whole) {
    await keep(suite, {
      seed: options.seed, eventLog, floorMs: options.floorMs, seconds: (performance.now() - startedMs) / 1_000
    })
  }
  console.log(`\nhonest events: ${lost.acknowledged} acknowledged, ${lost.visible} counted`)
  console.log(
    `${suite.reports.length - failed.length} passed, ${failed.length} failed; ${sinceStart()}; --seed ${options.seed}`
  )
  tellFailed(failed)
  if (failed.length > 0 || lost.acknowledged > lost.visible) process.exitCode = 1
}

function say (
  { name, who, requests, ratio, honest, recoverySeconds, codes, note, broken, clues }: AttackReport, when: string
): void {
  const outcome = broken.length > 0 ? 'FAILED' : 'ok    '
  const answers = Object.entries(codes).map(([code, times]) => `${times} x ${code}`).join(', ')
  console.log(`${outcome} ${name} (${who}): ${requests} requests${answers ? ` (${answers})` : ''}; honest p99 ` +
    `${honest.all.p99.toFixed(0)} ms, ${ratio.toFixed(1)}x; normal after ${recoverySeconds.toFixed(1)} s${note ? `; ${note}` : ''}; at ${when}`)
  for (const it of broken) console.log(`         ${it}`)
  for (const it of clues) console.log(`           ${it}`)
}

function tellFailed (reports: readonly AttackReport[]): void {
  for (const { name, broken } of reports.filter(it => it.broken.length > 0)) {
    console.log(`  failed: ${name}: ${broken[0]}`)
  }
}

/** Observations of the honest client before the first attack, by kind of request. */
function tellQuiet ({ quiet }: Suite): void {
  console.log('\nthe honest client on the quiet site:')
  console.table(Object.fromEntries(Object.entries(quiet.times).map(([kind, times]) => {
    const { count, p50, p99 } = spreadOf(times)
    return [kind, { requests: count, 'p50 ms': Number(p50.toFixed(1)), 'p99 ms': Number(p99.toFixed(1)) }]
  })))
}

/** Checks that every event acknowledged to the honest client is in the answers. */
async function countLost (
  honest: Awaited<ReturnType<typeof startHonest>>
): Promise<{ acknowledged: number, visible: number }> {
  honest.stop()
  for (const untilMs = performance.now() + 20_000; ;) {
    await new Promise(resolve => setTimeout(resolve, 500))
    const { acknowledged, visible } = await honest.cut()
    if (visible >= acknowledged || performance.now() > untilMs) return { acknowledged, visible }
  }
}

async function keep (
  suite: Suite, run: { seed: number, eventLog: string, floorMs: number, seconds: number }
): Promise<void> {
  const machine = `${cpus().length} x ${cpus()[0].model}`
  const quiet = Object.fromEntries(Object.entries(suite.quiet.times).map(([kind, times]) => [kind, spreadOf(times)]))
  const result = {
    date: new Date().toISOString(),
    machine,
    ...run,
    quiet: { classes: suite.quiet.all, kinds: quiet },
    reports: suite.reports
  }
  await mkdir(dirname(resultsFile), { recursive: true })
  await writeFile(resultsFile, JSON.stringify(result, null, 2) + '\n')
}

await program.action(run).parseAsync().catch(async error => {
  if (!isInterrupted) throw error
  await new Promise(() => {}) // pending work has lost its site; the process ends when that is closed
})
