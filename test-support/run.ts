/**
 * Runs tests: all of them, or those of some parts.
 *
 *     npm test
 *     npm test -- relay-rollups                             one part, in seconds
 *     npm test -- relay-api/test/batch.test.ts --test-name-pattern=late
 *
 * A run starts the servers that its files use (`servers.ts`), and no others.
 */
import { spawn } from 'node:child_process'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Files at once. On one core, files that wait for a timeout still run beside one that computes. */
const CONCURRENCY = Math.max(2, availableParallelism())
const ALL = ['relay-*', 'deploy', 'bench', 'faults', 'hostile']

const named = process.argv.slice(2)
const options = named.filter(it => it.startsWith('-'))
const parts = named.filter(it => !it.startsWith('-'))
const files = [...new Set((parts.length > 0 ? parts : ALL).flatMap(filesOf))].sort()

run([
  '--test', `--test-concurrency=${CONCURRENCY}`, '--test-timeout=600000', '--import', './test-support/exit.ts',
  '--test-global-setup=test-support/servers.ts', ...options, ...files
], { ...process.env, RELAY_TEST_SERVERS: serversOf(files).join() })

function filesOf (part: string): string[] {
  const path = relative(root, resolve(process.env.INIT_CWD ?? root, part))
  const isFile = existsSync(join(root, path)) && statSync(join(root, path)).isFile()
  const found = isFile ? [path] : globSync(`${path}/test/**/*.test.ts`, { cwd: root })
  if (found.length > 0) return found
  console.error(`no tests in ${part}: name a workspace, such as relay-rollups, or a file of tests`)
  process.exit(1)
}

/** The servers that the files use, by the modules of `test-support` that they import, directly or not. */
function serversOf (files: readonly string[]): string[] {
  const seen = new Set<string>()
  const left = [...files]
  for (let file = left.pop(); file !== undefined; file = left.pop()) {
    if (seen.has(file)) continue
    seen.add(file)
    const text = readFileSync(join(root, file), 'utf8')
    for (const [, specifier] of text.matchAll(/(?:from|import\(|new URL\() ?'(\.[^']+\.ts|relay-test-support\/[^']+)'/g)) {
      const place = specifier.startsWith('.')
        ? relative(root, resolve(root, dirname(file), specifier))
        : specifier.replace(/^relay-/, '')
      if (existsSync(join(root, place))) left.push(place)
    }
  }
  return ['postgres', 'kafka'].filter(it => seen.has(`test-support/local-${it}.ts`))
}

/** In place of this process, so that a signal reaches the runner once. */
function run (args: readonly string[], environment: NodeJS.ProcessEnv): void {
  process.chdir(root)
  if (process.platform !== 'win32') process.execve!(process.execPath, [process.execPath, ...args], environment)
  spawn(process.execPath, args, { stdio: 'inherit', env: environment }).on('exit', code => process.exit(code ?? 1))
}
