import { databaseSettings, ignorePostgresVariables, readConfig, withLocalStack } from 'relay-common'
import { eventLogSettings } from 'relay-event-log'
import { eventSettings, retentionSettings } from 'relay-rollups'
import { processorSettings } from 'relay-processor/config'
import { Type, type Static, type TInteger } from 'typebox'

const { READINGS_PER_ROW_MAX, KEEP_DUPLICATES, KEY_POLICY, SERIES_IN_MEMORY_MAX } = processorSettings.properties

const retentionDays = ({ default: _, ...rest }: TInteger & { default?: unknown }) => Type.Optional(Type.Integer(rest))

/** Settings that must equal those of the processor, or rollups are recomputed differently. */
export const cliSettings = Type.Object({
  ...databaseSettings,
  ...eventLogSettings,
  ...eventSettings,
  READINGS_PER_ROW_MAX,
  KEEP_DUPLICATES,
  KEY_POLICY,
  SERIES_IN_MEMORY_MAX,
  // left out: unchanged
  RETENTION_MINUTE_DAYS: retentionDays(retentionSettings.RETENTION_MINUTE_DAYS),
  RETENTION_HOUR_DAYS: retentionDays(retentionSettings.RETENTION_HOUR_DAYS),
  RETENTION_DAY_DAYS: retentionDays(retentionSettings.RETENTION_DAY_DAYS)
})

export type CliConfig = Readonly<Static<typeof cliSettings>>

/** Without settings of servers, it is the local stack. @throws RelayError RELAY_CONFIG_INVALID */
export function readCliConfig (environment: NodeJS.ProcessEnv = process.env): CliConfig {
  const found = withLocalStack(environment)
  if (found !== environment) ignorePostgresVariables(process.env)
  return readConfig(cliSettings, found)
}
