import { databaseSettings, eventLogSettings, eventSettings, readConfig, withLocalStack } from 'relay-common'
import { processorSettings } from 'relay-processor/config'
import { Type, type Static } from 'typebox'

const { READINGS_PER_ROW_MAX, KEEP_DUPLICATES, KEY_POLICY, SERIES_IN_MEMORY_MAX } = processorSettings.properties

/** The settings that a processor has too: they must be the same, or rollups are not recomputed as they were made. */
export const cliSettings = Type.Object({
  ...databaseSettings,
  ...eventLogSettings,
  ...eventSettings,
  READINGS_PER_ROW_MAX,
  KEEP_DUPLICATES,
  KEY_POLICY,
  SERIES_IN_MEMORY_MAX
})

export type CliConfig = Readonly<Static<typeof cliSettings>>

/** Without any setting that says where, it is the local stack. @throws RelayError RELAY_CONFIG_INVALID */
export function readCliConfig (environment: NodeJS.ProcessEnv = process.env): CliConfig {
  return readConfig(cliSettings, withLocalStack(environment))
}
