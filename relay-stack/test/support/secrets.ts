/** Recognisable secrets, and programs whose output is searched for them. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { commandLineOf } from '../../src/process-table.ts'

/** A secret with characters that need escaping in JSON, URLs and shells, around a core that does not. */
export function makeSecret (): string {
  return `pA/"s%20${coreOf(randomBytes(15).toString('hex'))}@:'é`
}

const coreOf = (secret: string) => /[0-9A-Za-z_-]{20,}/.exec(secret)?.[0] ?? secret

/** Forms of a secret: plain, hexadecimal, and base64 at each of the three byte offsets. */
function formsOf (secret: string): string[] {
  const core = Buffer.from(coreOf(secret))
  const whole = [0, 1, 2].map(skip => core.subarray(skip, skip + Math.floor((core.length - skip) / 3) * 3))
  const inBase64 = whole.flatMap(it => [it.toString('base64'), it.toString('base64url')])
  return [core.toString(), core.toString('hex'), ...inBase64]
}

/** @param secrets by what they are for */
export function assertNoSecret (text: string, secrets: Readonly<Record<string, string>>, where: string): void {
  for (const [what, secret] of Object.entries(secrets)) {
    for (const form of formsOf(secret)) {
      const at = text.indexOf(form)
      const around = text.slice(Math.max(0, at - 300), at + form.length + 20)
      assert.equal(at, -1, `the ${what} is in ${where}: …${around}…`)
    }
  }
}

export interface WatchedProgram {
  readonly process: ChildProcess
  /** all that it has written */
  readonly output: () => string
  readonly exited: Promise<unknown>
}

/**
 * Starts one of the programs with this environment, what others have compiled, and nothing else. @param name as in
 * `relay-<name>/src/main.ts`
 */
export function startWatched (
  t: TestContext, name: string, environment: NodeJS.ProcessEnv, args: readonly string[] = []
): WatchedProgram {
  const main = fileURLToPath(new URL(`../../../relay-${name}/src/main.ts`, import.meta.url))
  const { PATH, NODE_COMPILE_CACHE } = process.env
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH, NODE_COMPILE_CACHE, ...environment }, stdio: ['ignore', 'pipe', 'pipe', 'ipc']
  })
  t.after(() => { child.kill('SIGKILL') })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', chunk => { output += chunk })
  }
  return { process: child, output: () => output, exited: once(child, 'close') }
}

/** @returns once it is ready. @throws with what it said when it ends before */
export async function whenReady ({ process: child, output, exited }: WatchedProgram): Promise<void> {
  const ended = exited.then(() => { throw new Error(`it ended: ${output()}`) })
  ended.catch(() => {})
  await Promise.race([once(child, 'message'), ended])
}

/** The command lines of a process and of all that it has started. */
export function commandLinesOf (pid: number): string {
  const parents = new Map(readdirSync('/proc').map(Number).filter(Number.isInteger).map(it => [it, parentOf(it)]))
  const isBelow = (it: number | undefined): boolean => it !== undefined && (it === pid || isBelow(parents.get(it)))
  return [...parents.keys()].filter(isBelow).map(commandLineOf).join('\n')
}

function parentOf (pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) || undefined
  } catch {
    return undefined // it has ended meanwhile
  }
}
