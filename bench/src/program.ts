/** One of Relay's programs as a process of a benchmark. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { nodeArgsOf } from 'relay-common'

import { endWith } from './children.ts'

export interface BenchProgram extends AsyncDisposable {
  readonly pid: number
  /** rejects if it ends by itself */
  readonly failed: Promise<never>
}

/**
 * Starts a program and waits until it is ready. Disposed, it is told to end, and waited for.
 * @param nodeArgs of Node.js itself, besides its own
 * @param onStderr is shown what it writes to stderr; without it that goes to ours
 */
export async function startBenchProgram (
  name: 'api' | 'processor', environment: NodeJS.ProcessEnv, nodeArgs: readonly string[] = [],
  onStderr?: (text: string) => void
): Promise<BenchProgram> {
  const main = fileURLToPath(new URL(`../../relay-${name}/src/main.ts`, import.meta.url))
  const child: ChildProcess = spawn(process.execPath, [...nodeArgsOf(name), ...nodeArgs, main], {
    env: { ...process.env, ...environment }, stdio: ['ignore', 'inherit', onStderr ? 'pipe' : 'inherit', 'ipc']
  })
  const ending = endWith(child)
  if (onStderr) child.stderr!.setEncoding('utf8').on('data', onStderr)
  const exited = once(child, 'exit')
  const failed = exited.then(([code]): never => { throw new Error(`${name} ended with ${code}`) })
  failed.catch(() => {})
  await Promise.race([failed, once(child, 'message')])
  return {
    pid: child.pid!,
    failed,
    async [Symbol.asyncDispose] () {
      child.kill('SIGTERM')
      await exited
      ending[Symbol.dispose]()
    }
  }
}
