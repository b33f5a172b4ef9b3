/**
 * Compiles the programs before their first start, while PostgreSQL and the event log start. What is compiled is kept in
 * NODE_COMPILE_CACHE; a program that finds all of its files there never loads the compiler of types, which would stay in
 * its memory: 13 MB in each.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Main files do nothing but show the version here; what they load later is named as well. */
const files = ['simulator/src/main.ts', 'processor/src/main.ts', 'api/src/main.ts', 'common/src/event-log/kafka.ts']
const LOWEST_PRIORITY = 19
const urls = files.map(it => new URL(`../../relay-${it}`, import.meta.url))

/** @returns ends it, where it is still at work */
export function compilePrograms (): { close: () => Promise<void> } {
  const folder = process.env.NODE_COMPILE_CACHE
  const mark = folder && join(folder, `programs-${sourcesNow()}`)
  if (!mark || existsSync(mark)) return { close: async () => {} }
  const code = ["process.once('disconnect', () => process.exit()); process.channel.unref()", ...urls.map(it => `await import(${JSON.stringify(it.href)})`)].join('\n')
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code, '--', '--version'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)), stdio: ['ignore', 'ignore', 'ignore', 'ipc'] // it ends with us
  })
  const exited = once(child, 'exit').then(([exitCode]) => {
    if (exitCode === 0) writeFileSync(mark, '')
  }).catch(() => {}) // then each program compiles for itself
  try {
    if (child.pid) setPriority(child.pid, LOWEST_PRIORITY) // with what the servers leave of the CPU: the start takes no longer for it
  } catch {
    child.kill() // some containers don't allow it
  }
  return {
    close: async () => {
      child.kill()
      await exited
    }
  }
}

/** A name for what would be compiled: other files, and another Node, have another one. */
function sourcesNow (): string {
  const hash = createHash('sha256').update(process.version)
  for (const folder of new Set(urls.map(it => fileURLToPath(it).replace(/([\\/]src)[\\/].*$/, '$1')))) {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
      hash.update(`${name} ${statSync(join(folder, name)).mtimeMs}\n`)
    }
  }
  return hash.digest('hex').slice(0, 16)
}
