/**
 * Settings of the simulator: environment variables, also as command line options. An option takes precedence over its
 * variable, and has its meaning, default and check.
 */
import { databaseSettings, healthPort, programSettings, readConfig, RelayError, splitList } from 'relay-common'
import { eventLogSettings } from 'relay-event-log'
import { eventSettings } from 'relay-rollups'
import { Command, Option } from 'commander'
import { Type, type Static, type TSchemaOptions } from 'typebox'

import { parseDurationSetting, parseShare } from './quantities.ts'

/** Highest rate: one event per device and millisecond, because times identify events. */
const RATE_MAX = 1_000
/** Lowest rate: about one event per device in two weeks. */
const RATE_MIN = 1e-6
/** A history up to this size is sent before live events: it takes some seconds, which the live stream makes up for. */
export const HISTORY_FIRST_EVENTS_MAX = 1_000_000

const fleetSettings = {
  DEVICES: Type.Integer({
    default: 3, minimum: 1, maximum: 1_000_000, description: 'number of devices; the first three have well-known ids'
  }),
  ZONES: Type.Integer({
    default: 3, minimum: 1, maximum: 1_000_000, description: 'number of zones for the other devices'
  }),
  RATE: Type.Number({
    default: 1, minimum: RATE_MIN, maximum: RATE_MAX, description: 'events per second per device'
  }),
  SEED: Type.Integer({
    default: 1,
    minimum: 0,
    maximum: 4_294_967_295,
    description: 'seed of the random values; the same seed gives the same events'
  }),
  BACKFILL: Type.String({
    default: '0',
    description: 'history to send, e.g. 90m, 24h, 30d: before the live events if it has at most a ' +
      'million, else besides them'
  }),
  EXIT_AFTER_BACKFILL: Type.Boolean({
    default: false, description: 'send only the history, then exit'
  }),
  CATCH_UP_MAX: Type.String({
    default: '1h',
    description: 'most live events buffered while the event log is unreachable; older ones are skipped and counted'
  }),
  LATE: Type.String({
    default: '0%', description: 'share of events sent up to hours late'
  }),
  DUPLICATES: Type.String({
    default: '0%', description: 'share of events sent twice'
  }),
  POISON: Type.String({
    default: '0%', description: 'additional invalid records, as a share of the events'
  })
}

const flags: Record<keyof typeof fleetSettings, string> = {
  DEVICES: '--devices <count>',
  ZONES: '--zones <count>',
  RATE: '--rate <events>',
  SEED: '--seed <number>',
  BACKFILL: '--backfill <duration>',
  EXIT_AFTER_BACKFILL: '--once',
  CATCH_UP_MAX: '--catch-up-max <duration>',
  LATE: '--late <percent>',
  DUPLICATES: '--duplicates <percent>',
  POISON: '--poison <percent>'
}

export const simulatorSettings = Type.Object({
  ...programSettings,
  ...databaseSettings,
  ...eventLogSettings,
  ...healthPort(8081),
  DEVICE_TYPES: eventSettings.DEVICE_TYPES,
  ...fleetSettings
})

export type SimulatorConfig = Readonly<Static<typeof simulatorSettings>> & {
  readonly backfillMs: number
  readonly catchUpMaxMs: number
  /** device types of the fleet */
  readonly deviceTypes: readonly string[]
  /** each 0 to 1 */
  readonly faultShares: { readonly late: number, readonly duplicates: number, readonly poison: number }
}

/**
 * Reads and checks the settings. `--help` prints the options and exits.
 * @param args command line arguments
 * @throws RelayError RELAY_CONFIG_INVALID
 */
export function readSimulatorConfig (
  environment: NodeJS.ProcessEnv = process.env, args: readonly string[] = process.argv.slice(2)
): SimulatorConfig {
  const config = readConfig(simulatorSettings, { ...environment, ...parseOptions(args) })
  const backfillMs = read('BACKFILL', config.BACKFILL, parseDurationSetting)
  if (config.EXIT_AFTER_BACKFILL && backfillMs === 0) {
    throw invalid('EXIT_AFTER_BACKFILL (--once) sends only the history, but BACKFILL (--backfill) is 0')
  }
  const deviceTypes = [...new Set(splitList(config.DEVICE_TYPES))]
  if (deviceTypes.length === 0) throw invalid('DEVICE_TYPES must name at least one type')
  return Object.freeze({
    ...config,
    deviceTypes,
    backfillMs,
    catchUpMaxMs: read('CATCH_UP_MAX', config.CATCH_UP_MAX, parseDurationSetting),
    faultShares: {
      late: read('LATE', config.LATE, parseShare),
      duplicates: read('DUPLICATES', config.DUPLICATES, parseShare),
      poison: read('POISON', config.POISON, parseShare)
    }
  })
}

/** The given options, by the names of their variables. */
function parseOptions (args: readonly string[]): NodeJS.ProcessEnv {
  const command = new Command('relay-simulator')
    .description('Sends the events of a simulated fleet to the event log. Each option has an environment variable.')
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} }) // the error below has the message
    .exitOverride(error => { if (error.exitCode !== 0) throw invalid(error.message.replace(/^error: /, '')) })

  const settingOf = new Map<string, string>()
  for (const [setting, flag] of Object.entries(flags)) {
    // the options of a schema are in it, although its type does not say so
    const { description, default: preset } = fleetSettings[setting as keyof typeof flags] as object as TSchemaOptions
    const option = new Option(flag, `${description} (${setting}, default ${preset})`)
    settingOf.set(option.attributeName(), setting)
    command.addOption(option)
  }
  command.parse(args, { from: 'user' })
  return Object.fromEntries(Object.entries(command.opts()).map(([name, value]) => [settingOf.get(name), String(value)]))
}

function read (setting: keyof typeof flags, text: string, parse: (text: string) => number): number {
  try {
    return parse(text)
  } catch (cause) {
    throw invalid(`${setting} (${flags[setting].split(' ')[0]}) ${(cause as Error).message}`, cause)
  }
}

function invalid (detail: string, cause?: unknown): RelayError {
  return new RelayError('RELAY_CONFIG_INVALID', `invalid settings: ${detail}`, { cause })
}
