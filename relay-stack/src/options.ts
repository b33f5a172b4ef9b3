/** The options of `npm start`, each with its environment variable. An option takes precedence. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Command, InvalidArgumentError, Option } from 'commander'
import { version } from 'relay-common'

import { HISTORY_EVENTS_MAX } from './backfill.ts'
import { addPortOptions, parsePortOptions, type PortName } from './port-options.ts'
import type { WantedPort } from './ports.ts'

export interface StackOptions {
  readonly ports: Readonly<Record<PortName, WantedPort>>
  /** absolute */
  readonly dataDir: string
  /** absolute folder of Kafka's jars */
  readonly kafkaCache: string
  readonly eventLog?: 'kafka' | 'postgres'
  /** whether the data folder may change its event log */
  readonly isEventLogMoved: boolean
  /** whether the Kafka of the stack reports its own metrics */
  readonly kafkaMetrics: boolean
  /** whether a development issuer runs too, for OAuth */
  readonly issuer: boolean
  readonly fresh: boolean
  readonly logs: boolean
  /** whether a fleet is simulated; undefined: not specified */
  readonly hasSimulator?: boolean
  /** settings for the simulator, which checks them */
  readonly simulator: Readonly<Record<string, string>>
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Settings of the simulator that the stack passes on under their own names. */
const simulatorOptions = [
  [
    '--devices <count>', 'DEVICES',
    'number of devices, 0 for none; the first three are thermostat-001, heart-rate-001, car-fuel-001'
  ],
  ['--zones <count>', 'ZONES', 'number of zones for the other devices'],
  ['--rate <events>', 'RATE', 'events per second per device'],
  ['--seed <number>', 'SEED', 'seed of the random values; the same seed gives the same events'],
  ['--backfill <duration>', 'BACKFILL',
    'history to send, e.g. 90m, 24h, 30d (default: 24 hours at the first start, later the time since the last stop). ' +
    `The default sends at most ${HISTORY_EVENTS_MAX / 1e6} million events, which is an hour of 1,000 devices`],
  ['--late <percent>', 'LATE', 'share of events sent up to hours late, e.g. 1%'],
  ['--duplicates <percent>', 'DUPLICATES', 'share of events sent twice'],
  ['--poison <percent>', 'POISON', 'additional invalid records, as a share of the events']
] as const

const dataDirOption = () => new Option('--data-dir <folder>', 'where data and logs are kept')
  .env('RELAY_DATA_DIR').default('.relay', '.relay beside package.json').argParser(parsePath)

/** Declares the options. Their names, defaults and descriptions are only here. */
export function createCommand (): Command {
  const command = new Command('npm start --')
    .description('Runs Relay on this machine: PostgreSQL, the event log, a simulated fleet, the processor, the API.\n' +
      'Options go after two dashes: npm start -- --devices 1000')
    .version(version)
    .allowExcessArguments(false)
    .showHelpAfterError('(see --help)')
    .addOption(new Option('--issuer', 'also run a development issuer of access tokens (env: RELAY_ISSUER=1)'))
    .addOption(dataDirOption())
    .addOption(new Option('--kafka-cache <folder>', 'where Kafka\'s jars are kept')
      .env('RELAY_KAFKA_CACHE').default('.relay/kafka', '.relay/kafka beside package.json').argParser(parsePath))
    .addOption(new Option('--event-log <log>', 'where events are kept (default: as before in this data ' +
      'folder; at its ' +
      'first start kafka if KAFKA_BOOTSTRAP_SERVERS is set or Java 17 and Maven are found, else postgres)')
      .env('EVENT_LOG').choices(['kafka', 'postgres']))
    .addOption(new Option(
      '--move-event-log', 'switch to another event log than before; events only in the old one are not read again'
    ))
    .addOption(new Option('--kafka-metrics', 'also report Kafka\'s own metrics to Prometheus, by an agent in the ' +
      'broker ' +
      'that Maven fetches once (env: RELAY_KAFKA_METRICS=1)'))
    .addOption(new Option('--fresh', 'delete all data of the data folder first (env: RELAY_FRESH=1)'))
    .addOption(new Option('--logs', 'show the logs of all parts (env: RELAY_LOGS=1)'))
    .addOption(new Option('--simulator', 'simulate a fleet even on your own servers (env: RELAY_SIMULATOR=1)'))
    .addOption(new Option('--no-simulator', 'do not simulate a fleet (env: RELAY_SIMULATOR=0)'))
  addPortOptions(command)
  for (const [flags, variable, description] of simulatorOptions) {
    command.addOption(new Option(flags, description).env(variable))
  }
  return command.addHelpText('after',
    '\nStarts PostgreSQL unless DATABASE_URL or POSTGRES_HOST is set,\n' +
    'and Kafka unless KAFKA_BOOTSTRAP_SERVERS is set.\n' +
    'The programs also read their own settings from the environment; see docs/configuration.md.')
}

/**
 * Reads the options; prints the help, or one line about a wrong option, and exits then.
 * @param args command line arguments
 * @param startedIn base of relative paths on the command line
 */
export function parseOptions (
  args: readonly string[], environment: NodeJS.ProcessEnv, startedIn: string
): StackOptions {
  const command = createCommand()
  parse(command, args, environment)
  const options = command.opts()
  const folder = (name: string) => folderOf(command, name, startedIn)
  const ofSwitch = (variable: string) => parseSwitch(command, variable, environment[variable])

  const simulator: Record<string, string> = {}
  for (const [flags, variable] of simulatorOptions) {
    const value = options[flags.split(' ')[0].slice(2)]
    if (value !== undefined && value !== '') simulator[variable] = value
  }
  return {
    ports: parsePortOptions(command),
    dataDir: folder('dataDir'),
    kafkaCache: folder('kafkaCache'),
    eventLog: options.eventLog,
    isEventLogMoved: options.moveEventLog ?? false,
    kafkaMetrics: options.kafkaMetrics ?? ofSwitch('RELAY_KAFKA_METRICS') ?? false,
    issuer: options.issuer ?? ofSwitch('RELAY_ISSUER') ?? false,
    fresh: options.fresh ?? ofSwitch('RELAY_FRESH') ?? false,
    logs: options.logs ?? ofSwitch('RELAY_LOGS') ?? false,
    hasSimulator: options.simulator ?? ofSwitch('RELAY_SIMULATOR'),
    simulator
  }
}

/** Reads the options of `npm stop`, like `readOptions`. @returns the data folder, absolute */
export function parseFolder (args: readonly string[], environment: NodeJS.ProcessEnv, startedIn: string): string {
  const command = new Command('npm stop --')
    .description('Stops the stack that npm start runs on a data folder.')
    .version(version)
    .allowExcessArguments(false)
    .showHelpAfterError('(see --help)')
    .addOption(dataDirOption())
  parse(command, args, environment)
  return folderOf(command, 'dataDir', startedIn)
}

/** @returns undefined: not set */
function parseSwitch (command: Command, variable: string, text = ''): boolean | undefined {
  if (text === '') return undefined
  if (/^(1|true|yes|on)$/i.test(text)) return true
  if (/^(0|false|no|off)$/i.test(text)) return false
  return command.error(`error: ${variable} must be 1 or 0, got ${text}`)
}

/** An empty one is mostly an unset variable of a script; it would be the current folder. */
function parsePath (text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('Must not be empty.')
  return text
}

function parse (command: Command, args: readonly string[], environment: NodeJS.ProcessEnv): void {
  for (const { envVar } of command.options) {
    if (envVar !== undefined && environment[envVar] === '') delete environment[envVar] // empty counts as not set
  }
  command.parse(args, { from: 'user' })
}

/** A relative folder is based on the current folder of the caller; the default one on package.json. */
function folderOf (command: Command, name: string, startedIn: string): string {
  return resolve(command.getOptionValueSource(name) === 'default' ? ROOT : startedIn, command.opts()[name])
}
