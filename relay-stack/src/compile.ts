/**
 * Compiles the programs before their first start, while PostgreSQL and the event log start. What is compiled is kept in
 * NODE_COMPILE_CACHE; a program that finds all of its files there never loads the compiler of types, which would stay in
 * its memory: 13 MB in each.
 */
import { spawn } from 'node:child_process'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'

/** Main files do nothing but show the version here; what they load later is named as well. */
const files = ['simulator/src/main.ts', 'processor/src/main.ts', 'api/src/main.ts', 'common/src/event-log/kafka.ts']
const LOWEST_PRIORITY = 19
const urls = files.map(it => new URL(`../../relay-${it}`, import.meta.url).href)

/** @returns ends it, where it is still at work */
export function compilePrograms (): { close: () => void } {
  if (!process.env.NODE_COMPILE_CACHE) return { close: () => {} }
  const code = urls.map(it => `await import(${JSON.stringify(it)})`).join('\n')
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code, '--', '--version'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)), stdio: 'ignore'
  })
  try {
    if (child.pid) setPriority(child.pid, LOWEST_PRIORITY) // with what the servers leave of the CPU: the start takes no longer for it
  } catch {
    child.kill() // some containers don't allow it
  }
  child.on('error', () => {}) // then each program compiles for itself
  return { close: () => { child.kill() } }
}
