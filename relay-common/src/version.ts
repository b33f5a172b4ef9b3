import { readFileSync } from 'node:fs'

/** The version of Relay: all of its workspaces have the same. */
export const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string }
