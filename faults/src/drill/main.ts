/**
 * `npm run drill`: parts of a real site are lost under load, and restored by the commands of
 * docs/disaster-recovery.md. The figures are kept in faults/results/drills.json, and docs/drills.md shows them. The
 * exit code is 0 if nothing is missing afterwards.
 */
import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Command, InvalidArgumentError } from 'commander'
import { version } from 'relay-common'

import { drills } from './cases.ts'
import { hasFailed, runDrill, type Drill, type DrillReport } from './drill.ts'
import { openDrillSite } from './site.ts'

interface Options {
  readonly only?: Drill[]
  readonly seed: number
  readonly keep?: boolean
}

const cacheDir = fileURLToPath(new URL('../../../.relay/kafka', import.meta.url))
const resultsFile = fileURLToPath(new URL('../../results/drills.json', import.meta.url))
const names = drills.map(it => it.name)

function addDrill (name: string, chosen: Drill[] = []): Drill[] {
  const found = drills.find(it => it.name === name)
  if (!found) throw new InvalidArgumentError(`it is one of ${names.join(', ')}`)
  return [...chosen, found]
}

const program = new Command('drill').version(version)
  .description('Disaster recovery by the commands of docs/disaster-recovery.md, on real servers under load')
  .option('--only <drill>', `one alone (may be repeated): ${names.join(', ')}`, addDrill)
  .option('--seed <n>', 'what is sent', Number, Date.now() % 1_000_000)
  .option('--keep', 'leave data and logs where they are')

async function run ({ only, seed, keep }: Options): Promise<void> {
  for (const drill of only ?? drills) {
    const report = await inSite(drill, seed, keep)
    console.log(report)
    if (hasFailed(report)) process.exitCode = 1
    else await note(report)
  }
}

/** Each drill has a site of its own. */
async function inSite (drill: Drill, seed: number, keep = false): Promise<DrillReport> {
  console.log(`${drill.title} (seed ${seed})`)
  await using opened = new AsyncDisposableStack()
  const interrupted = () => { opened.disposeAsync().finally(() => process.exit(130)) }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, interrupted)
    opened.defer(() => { process.off(signal, interrupted) })
  }
  const folder = await mkdtemp(join(tmpdir(), 'relay-drill-'))
  await chmod(folder, 0o755) // root runs PostgreSQL as another user
  if (keep) console.log(`data and logs: ${folder}`)
  else opened.defer(() => rm(folder, { recursive: true, force: true }))
  const settings = { folder, cacheDir, seed, say: (line: string) => console.log(line) }
  const site = opened.adopt(await openDrillSite(settings), it => it.close())
  return await runDrill(site, drill)
}

/** Replaces the last report of the same drill. */
async function note (report: DrillReport): Promise<void> {
  const reports: DrillReport[] = existsSync(resultsFile) ? JSON.parse(readFileSync(resultsFile, 'utf8')) : []
  const byName = new Map([...reports, report].map(it => [it.drill, it]))
  const sorted = drills.flatMap(it => byName.get(it.name) ?? [])
  await writeFile(resultsFile, JSON.stringify(sorted, null, 2) + '\n')
}

await program.action(run).parseAsync()
