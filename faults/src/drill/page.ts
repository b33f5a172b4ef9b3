/** The commands of `docs/disaster-recovery.md`: drills run them as they stand there. */
import { readFileSync } from 'node:fs'

/** Where a command is run: the first line of its block says so. */
export const hosts = ['database host', 'replica host', 'host with Relay'] as const
export type Host = typeof hosts[number]

export interface Block {
  readonly host: Host
  readonly commands: string
}

export const PAGE = new URL('../../../docs/disaster-recovery.md', import.meta.url)

/** @returns the blocks of each section, by its heading, in their order */
export function readPage (text = readFileSync(PAGE, 'utf8')): ReadonlyMap<string, readonly Block[]> {
  return new Map(text.split(/^##+ /m).slice(1).map(section => {
    const heading = section.slice(0, section.indexOf('\n'))
    const blocks = [...section.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, commands]) => {
      const host = hosts.find(it => commands.startsWith(`# ${it}\n`))
      if (!host) throw new Error(`a block of "${heading}" does not say where to run it: # ${hosts.join(', # ')}`)
      return { host, commands }
    })
    return [heading, blocks]
  }))
}
