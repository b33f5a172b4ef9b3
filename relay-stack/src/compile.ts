/**
 * Compiles the programs before their first start, while PostgreSQL and the event log start. Compiled code is stored in
 * NODE_COMPILE_CACHE. A program that finds all its files there never loads the type stripper, which would keep 13 MB in
 * each.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { endWithUs } from './helper-process.ts'

/** Main files only print the version here; files that they load later are listed as well. */
const files = [
  'simulator/src/main.ts', 'processor/src/main.ts', 'api/src/main.ts', 'event-log/src/kafka/kafka.ts'
]
const LOWEST_PRIORITY = 19
const urls = files.map(it => new URL(`../../relay-${it}`, import.meta.url))

/** @returns ends it, if it still runs */
export function compilePrograms (): { close: () => Promise<void> } {
  const folder = process.env.NODE_COMPILE_CACHE
  const mark = folder && join(folder, `programs-${sourcesNow()}`)
  if (!mark || existsSync(mark)) return { close: async () => {} }
  const code = ["process.once('disconnect', () => process.exit()); process.channel.unref()", ...urls.map(it =>
    `await import(${JSON.stringify(it.href)})`)].join('\n')
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code, '--', '--version'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)), stdio: ['ignore', 'ignore', 'ignore', 'ipc']
  })
  endWithUs(child) // and by itself, if we are killed
  const exited = once(child, 'exit').then(([exitCode]) => {
    if (exitCode === 0) writeFileSync(mark, '')
  }).catch(() => {}) // then each program compiles for itself
  try {
    if (child.pid) setPriority(child.pid, LOWEST_PRIORITY) // only uses idle CPU, so the start takes no longer
  } catch {
    child.kill() // some containers do not allow it
  }
  return {
    close: async () => {
      child.kill()
      await exited
    }
  }
}

/** Name of the compiled state: it changes with the files and the version of Node. */
function sourcesNow (): string {
  const hash = createHash('sha256').update(process.version)
  for (const folder of new Set(urls.map(it => fileURLToPath(it).replace(/([\\/]src)[\\/].*$/, '$1')))) {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
      hash.update(`${name} ${statSync(join(folder, name)).mtimeMs}\n`)
    }
  }
  return hash.digest('hex').slice(0, 16)
}
