/** A program of Relay, or the API's peer, as a process of a benchmark. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { nodeArgsOf } from 'relay-common'

import { endWith } from './children.ts'

const mains = {
  api: '../../relay-api/src/main.ts',
  'bare-api': './bare-api.ts',
  'bare-ingest': './bare-ingest.ts',
  issuer: '../../relay-issuer/src/main.ts',
  processor: '../../relay-processor/src/main.ts'
} as const

export interface ProgramSettings {
  /** besides ours */
  readonly environment: NodeJS.ProcessEnv
  /** for Node.js, in addition to the program's own */
  readonly nodeArgs?: readonly string[]
  /** folder for a CPU profile */
  readonly cpuProf?: string
  /** receives its stderr; left out: it goes to ours */
  readonly onStderr?: (text: string) => void
}

export interface BenchProgram extends AsyncDisposable {
  readonly pid: number
  /** resolves when it is ready; rejects if it ends before */
  readonly ready: Promise<void>
  /** rejects when it ends */
  readonly failed: Promise<never>
  /** Ends it, and waits for its end. So does disposing of it. */
  end (): Promise<void>
}

export function startProgram (
  name: keyof typeof mains, { environment, nodeArgs = [], cpuProf, onStderr }: ProgramSettings
): BenchProgram {
  const profileArgs = cpuProf ? ['--cpu-prof', `--cpu-prof-dir=${cpuProf}`] : []
  const main = fileURLToPath(new URL(mains[name], import.meta.url))
  const child: ChildProcess = spawn(process.execPath, [...nodeArgsOf(name), ...profileArgs, ...nodeArgs, main], {
    env: { ...process.env, ...environment }, stdio: ['ignore', 'inherit', onStderr ? 'pipe' : 'inherit', 'ipc']
  })
  const ending = endWith(child)
  if (onStderr) child.stderr!.setEncoding('utf8').on('data', onStderr)
  const exited = once(child, 'exit')
  const failed = exited.then(([code]): never => { throw new Error(`${name} ended with ${code}`) })
  const ready = Promise.race([failed, once(child, 'message').then(() => {})])
  for (const promise of [failed, ready]) promise.catch(() => {}) // not everybody awaits both
  const end = async () => {
    child.kill('SIGTERM')
    await exited
    ending[Symbol.dispose]()
  }
  return { pid: child.pid!, ready, failed, end, [Symbol.asyncDispose]: end }
}
