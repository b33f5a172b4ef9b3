/** Whoever is on call: pastes the blocks of a section into a shell of their host, and does what a drill offers. */
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

import { findOwner } from '../../../relay-stack/src/postgres-user.ts'
import type { Block, Host } from './page.ts'

const COMMAND_TIMEOUT_MS = 900_000
const ROOT = new URL('../../..', import.meta.url)

export interface OperatorSettings {
  readonly page: ReadonlyMap<string, readonly Block[]>
  /** variables that the page names, on each host */
  readonly variables: Readonly<Record<Host, NodeJS.ProcessEnv>>
  /** restarts the processors of this site, with the given settings */
  readonly restartProcessors: (own: NodeJS.ProcessEnv) => Promise<void>
  readonly say: (line: string) => void
}

export interface Operator {
  /** Runs the blocks of a section. @param own further variables @returns what each block wrote to stdout */
  follow (heading: string, own?: NodeJS.ProcessEnv): Promise<string[]>
  close (): Promise<void>
}

export async function openOperator (settings: OperatorSettings): Promise<Operator> {
  const server = createServer((request, response) => {
    const own = Object.fromEntries(new URL(request.url!, 'http://localhost').searchParams)
    settings.restartProcessors(own).then(() => response.end('restarted\n'), error => {
      response.statusCode = 500
      response.end(`${error}\n`)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  // what a site has in place of it: docker compose up -d processor, systemctl restart relay-processor
  const restart = `curl --silent --fail-with-body -X POST http://127.0.0.1:${port}/?GAP_POLICY=$GAP_POLICY`

  return {
    async follow (heading, own = {}) {
      const blocks = settings.page.get(heading)
      if (!blocks || blocks.length === 0) throw new Error(`docs/disaster-recovery.md has no commands for "${heading}"`)
      const outputs: string[] = []
      for (const { host, commands } of blocks) {
        settings.say(commands.trimEnd().replaceAll(/^/gm, '    '))
        const variables = { ...settings.variables[host], RESTART_PROCESSORS: restart, GAP_POLICY: '', ...own }
        outputs.push(await paste(host, commands, variables))
      }
      return outputs
    },
    async close () {
      server.close()
      await once(server, 'close')
    }
  }
}

/** @throws with its output, if a command fails */
async function paste (host: Host, commands: string, variables: NodeJS.ProcessEnv): Promise<string> {
  const owner = host === 'host with Relay' ? {} : await findOwner(() => {})
  const { PATH, HOME } = process.env
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', commands], {
    ...owner,
    cwd: host === 'host with Relay' ? ROOT : '/',
    env: { PATH, HOME: host === 'host with Relay' ? HOME : '/', LANG: 'C.UTF-8', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: COMMAND_TIMEOUT_MS
  })
  let [stdout, stderr] = ['', '']
  shell.stdout.on('data', chunk => { stdout += chunk })
  shell.stderr.on('data', chunk => { stderr += chunk })
  const [exitCode] = await once(shell, 'close')
  if (exitCode !== 0) throw new Error(`exit code ${exitCode} of\n${commands}\n${stdout}${stderr}`)
  return stdout
}
