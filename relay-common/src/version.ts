import { readFileSync } from 'node:fs'

/** The version of Relay, the same for all its workspaces. */
export const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  readonly version: string
}
