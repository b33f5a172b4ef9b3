import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import type { Site } from '../../../relay-processor/test/support/open-processor.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface CliRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts `relay` as a process on a site. */
export function spawnCli (site: Pick<Site, 'environment'>, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [main, ...args], {
    env: { ...process.env, ...site.environment }, stdio: ['ignore', 'pipe', 'pipe']
  })
}

export async function runCli (site: Pick<Site, 'environment'>, args: readonly string[]): Promise<CliRun> {
  const child = spawnCli(site, args)
  const [[code], stdout, stderr] = await Promise.all([once(child, 'exit'), text(child.stdout!), text(child.stderr!)])
  return { code, stdout, stderr }
}

/** Output of a run with --json: one document per line. */
export function documents ({ stdout }: CliRun): any[] {
  return stdout.split('\n').filter(it => it !== '').map(line => JSON.parse(line))
}
