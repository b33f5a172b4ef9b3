/**
 * Where the local stack is: while it runs, it tells the command line on its machine by a file in its data folder. No secret
 * is in it: passwords are in files of their own, which it names.
 */
import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const FILE = 'site.json'
const DATA_DIR_DEFAULT = fileURLToPath(new URL('../../.relay', import.meta.url))

/** Settings that say which database or which event log. */
const SITE_SETTING = /^(DATABASE_|POSTGRES_|KAFKA_|EVENT_LOG$)/

/** Tells where a stack is. @param dataDir its data folder @returns takes it back */
export async function tellLocalStack (
  dataDir: string, settings: Readonly<Record<string, string | undefined>>
): Promise<{ close (): Promise<void> }> {
  const file = join(dataDir, FILE)
  await rm(file, { force: true }) // one that a killed stack left keeps the rights that it has
  await writeFile(file, JSON.stringify(settings, undefined, 2) + '\n', { mode: 0o600 })
  return { close: () => rm(file, { force: true }) }
}

/**
 * An environment that names no database and no event log means the local stack, where one runs.
 * @param environment RELAY_DATA_DIR: the data folder of the stack, if it is another than that of this project
 */
export function withLocalStack (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (Object.entries(environment).some(([name, value]) => SITE_SETTING.test(name) && value)) return environment
  try {
    return { ...environment, ...JSON.parse(readFileSync(join(environment.RELAY_DATA_DIR || DATA_DIR_DEFAULT, FILE), 'utf8')) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return environment
    throw error
  }
}
