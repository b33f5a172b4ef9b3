/** `relay deploy status | canary | analyse | promote | abort`: a new version of processors beside the current one. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { RelayError } from 'relay-common'
import type { Topic } from 'relay-event-log'
import { bucketStartMs, DAY_MS } from 'relay-rollups'
import {
  promote, readDeployment, readRunning, startCanary, type RunningProcessor
} from 'relay-processor/deployment'
import { findRebuildableMs } from 'relay-processor/rebuild'

import { parseCount, parseDurationArgument, parseLimit } from '../arguments.ts'
import { formatTime, printJson, printLine, type OutputOptions } from '../output.ts'
import { openSite, openSiteDatabase, readKeepMs, rulesOf, topicOf, type Site } from '../site.ts'
import { stopSignal } from '../stop-signal.ts'
import { abort, checkVersion, type AbortOptions } from './abort.ts'
import { analyse } from './analysis.ts'
import { audit } from './audit.ts'
import { describeAborted, describeAnalysis, describeStatus, showAborted, showAnalysis, showStatus } from './show.ts'
import type { Limits } from './verdict.ts'

interface AnalyseOptions extends OutputOptions, Limits {
  readonly for: number
  readonly promote?: boolean
  readonly abort?: boolean
  readonly anyVersion?: boolean
}

interface CanaryOptions extends OutputOptions, Limits {
  readonly generation: string
  readonly partitions: number
  readonly partition?: readonly number[]
  readonly analyse?: number
  readonly promote?: boolean
  readonly anyVersion?: boolean
  readonly allowPartial?: boolean
}

interface AbortArguments extends OutputOptions {
  readonly anyVersion?: boolean
  readonly allowFewer?: boolean
}

export function addDeploy (program: Command): void {
  const group = program.command('deploy').description('try a new version of the processors on some partitions, then ' +
    'let it take over, or take back what it did')
  group.command('status')
    .description('show which generation of processors owns which partitions')
    .option('--json', 'as JSON')
    .action(status)
  withLimits(group.command('canary'))
    .description('give partitions to a generation that stands by. With --analyse its fault ends it: exit code 1, and ' +
      'the canary is aborted')
    .requiredOption('--generation <name>', 'PROCESSOR_GENERATION of the new processors, which must run')
    .option('--partitions <count>', 'how many partitions it gets: those with the highest numbers', parseLimit, 1)
    .option('--partition <number...>', 'which partitions it gets, instead', parsePartition)
    .option('--analyse <duration>', 'analyse it for 30s, 10m or 2h; abort it if it is bad', parseDurationArgument)
    .option('--promote', 'promote it if the analysis finds it good')
    .option('--allow-partial', 'also if the log does not have all of today, so that an abort could not rebuild today')
    .option('--any-version', 'also if this is not the version of the active generation')
    .addHelpText('after', `
Run it with the version of the active generation: rows are compared and rebuilt by its code.

Examples:
  relay deploy canary --generation green --partitions 1
  relay deploy canary --generation green --partitions 1 --analyse 10m --promote`)
    .action(canary)
  withLimits(group.command('analyse'))
    .description('compare the canary with the active generation for a while: differences to the log, work per event, ' +
      'flushes, dead letters, restarts. Exit code 1: it is not good')
    .requiredOption('--for <duration>', 'how long to watch: 30s, 10m or 2h', parseDurationArgument)
    .option('--promote', 'promote it if it is good')
    .option('--abort', 'abort it if it is bad')
    .option('--any-version', 'also if this is not the version of the active generation')
    .addHelpText('after', `
Examples:
  relay deploy analyse --for 10m
  relay deploy analyse --for 10m --abort --promote`)
    .action(analyseCanary)
  group.command('promote')
    .description('make the canary the active generation, with all partitions, in one transaction')
    .option('--json', 'as JSON')
    .action(promoteCanary)
  group.command('abort')
    .description('give the partitions of the canary back, and rebuild the days that it touched from the log. After a ' +
      'kill run it again. Exit code 1: the log no longer has all of these days')
    .option('--allow-fewer', 'also if rows of other partitions would have fewer readings')
    .option('--any-version', 'also if this is not the version of the active generation')
    .option('--json', 'as JSON')
    .addHelpText('after', `
Processors go on meanwhile. Run it with the version of the active generation: rows are rebuilt by its code.

Example:
  relay deploy abort`)
    .action(abortCanary)
}

function withLimits (command: Command): Command {
  return command
    .option('--json', 'one JSON object per step')
    .addOption(new Option('--cost-max <factor>', 'most work per event, as a multiple of that of the active generation')
      .argParser(parseFactor).default(2))
    .addOption(new Option('--flush-max <factor>', 'most p99 of a flush, as a multiple')
      .argParser(parseFactor).default(2))
    .addOption(new Option('--dead-letters-max <share>', 'most additional share of dead letters: 0.005 is 0.5 %')
      .argParser(parseFactor).default(0.005))
    .option('--events-min <count>', 'with fewer events it is undecided', parseCount, 1_000)
    .option('--cost-events-min <count>', 'with fewer events their work is not compared', parseCount, 10_000)
}

function parseFactor (text: string): number {
  const factor = Number(text)
  if (text.trim() !== '' && Number.isFinite(factor) && factor >= 0) return factor
  throw new InvalidArgumentError('Must be a number from 0 on.')
}

function parsePartition (text: string, before: readonly number[] = []): number[] {
  return [...before, parseCount(text)]
}

async function status ({ json }: OutputOptions): Promise<void> {
  await using site = await openSiteDatabase()
  const [deployment, running] = [await readDeployment(site.database), await readRunning(site.database)]
  if (json) printJson(describeStatus(deployment, running))
  else showStatus(deployment, running)
}

async function canary (options: CanaryOptions): Promise<void> {
  const { generation, partitions, partition, json } = options
  await using site = await openSite()
  const topic = await topicOf(site, site.config.EVENTS_TOPIC)
  checkRunning(await readRunning(site.database), generation)
  if (!options.anyVersion) await checkVersion(site)
  const rebuildableMs = await findRebuildableMs(site.database, site.eventLog, topic, {
    keepMs: await readKeepMs(site.database), rules: rulesOf(site.config)
  })
  if (rebuildableMs > bucketStartMs(DAY_MS, Date.now()) && !options.allowPartial) {
    throw new RelayError('RELAY_DEPLOY_REFUSED', `the log has whole days only from ${formatTime(rebuildableMs)} on, so an ` +
      'abort could not rebuild today. Wait until then, or add --allow-partial')
  }
  const started = await site.database.transaction(async client => {
    const started = await startCanary(client, topic, generation, partition ?? partitions)
    await audit(client, 'deploy.canary', started, topic)
    return started
  })
  const chosen = started.partitions.filter(it => it.isCanary).map(it => it.partition)
  if (json) printJson({ generation, partitions: chosen, rebuildableFrom: timeOrNull(rebuildableMs) })
  else printLine(`generation ${generation} has partitions ${chosen.join(', ')}`)
  if (options.analyse === undefined) return
  await analyseAndAct(site, topic, { ...options, for: options.analyse, abort: true })
}

/** @throws RelayError RELAY_DEPLOY_REFUSED */
function checkRunning (running: readonly RunningProcessor[], generation: string): void {
  const older = running.filter(it => it.generation === undefined)
  if (older.length > 0) {
    throw new RelayError('RELAY_DEPLOY_REFUSED', `${older[0].instance} runs ${older[0].version}, which knows no ` +
      'generations and would take the partitions back: upgrade all processors once without a canary')
  }
  if (running.some(it => it.generation === generation)) return
  const others = [...new Set(running.map(it => it.generation))].join(', ')
  throw new RelayError('RELAY_DEPLOY_REFUSED', `no running processor reports generation ${generation} ` +
    `(running: ${others || 'none'}): start one with PROCESSOR_GENERATION=${generation}; it reports itself within 10 s`)
}

async function analyseCanary (options: AnalyseOptions): Promise<void> {
  await using site = await openSite()
  if (!options.anyVersion) await checkVersion(site)
  await analyseAndAct(site, await topicOf(site, site.config.EVENTS_TOPIC), options)
}

async function analyseAndAct (site: Site, topic: Topic, options: AnalyseOptions): Promise<void> {
  const { json } = options
  const signal = stopSignal('stopped; the canary goes on: run relay deploy analyse, promote or abort')
  const analysis = await analyse(site, topic, options.for, options, signal)
  if (json) printJson(describeAnalysis(analysis))
  else showAnalysis(analysis)
  if (analysis.verdict !== 'good') process.exitCode = 1
  if (analysis.verdict === 'good' && options.promote) await promoteOn(site, topic, json)
  if (analysis.verdict === 'bad' && options.abort) {
    await abortOn(site, topic, { isAnyVersion: true, isLossAllowed: false }, json) // it was checked at the start
  }
}

async function promoteCanary ({ json }: OutputOptions): Promise<void> {
  await using site = await openSite()
  await promoteOn(site, await topicOf(site, site.config.EVENTS_TOPIC), json)
}

async function promoteOn (site: Site, topic: Topic, json: boolean | undefined): Promise<void> {
  const { canary } = await readDeployment(site.database)
  if (canary) checkRunning(await readRunning(site.database), canary.generation)
  const promoted = await site.database.transaction(async client => {
    const promoted = await promote(client, topic)
    await audit(client, 'deploy.promote', promoted, topic)
    return promoted
  })
  if (json) printJson({ promoted: promoted.generation })
  else {
    printLine(`generation ${promoted.generation} is active; ` +
      'the processors of the one before stand by and can be stopped')
  }
}

async function abortCanary ({ anyVersion, allowFewer, json }: AbortArguments): Promise<void> {
  await using site = await openSite()
  await abortOn(site, await topicOf(site, site.config.EVENTS_TOPIC), {
    isAnyVersion: anyVersion ?? false, isLossAllowed: allowFewer ?? false
  }, json)
}

async function abortOn (
  site: Site, topic: Topic, options: AbortOptions, json: boolean | undefined
): Promise<void> {
  const signal = stopSignal('stopped; the partitions were given back, and relay deploy abort rebuilds their rows')
  const aborted = await abort(site, topic, options, signal)
  if (json) printJson(describeAborted(aborted))
  else showAborted(aborted)
  if (aborted.notRebuiltFromMs !== undefined || aborted.deleted > 0n) process.exitCode = 1
}

function timeOrNull (timeMs: number): string | null {
  return Number.isFinite(timeMs) ? formatTime(timeMs) : null
}
