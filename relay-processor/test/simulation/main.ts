/**
 * `npm run simulate`: runs many seeds, or one with a full trace.
 *
 *     npm run simulate -- --seeds 5000             seeds 1 to 5000
 *     npm run simulate -- --seed 4711 --trace      one of them, told in full
 *     npm run simulate -- --bug no-fence           with a bug built in: something must be found
 */
import { parseArgs } from 'node:util'

import { version } from 'relay-common'

import { bugs, type Bug } from './bugs.ts'
import { runSeed, type RunResult } from './run.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    bug: { type: 'string' },
    version: { type: 'boolean', default: false }
  }
})
if (values.version) {
  console.log(version)
  process.exit()
}
const bug = values.bug as Bug | undefined
const first = number(values.seed ?? values.from)
const last = values.seed === undefined ? first + number(values.seeds) - 1 : first
if (bug !== undefined && !Object.hasOwn(bugs, bug)) fail(`--bug is one of ${Object.keys(bugs).join(', ')}`)

const startedMs = performance.now()
const counts: Record<string, number> = {}
let [events, broken] = [0, 0]
for (let seed = first; seed <= last; seed++) {
  try {
    tell(await runSeed({ seed, bug, isTraced: values.trace }))
  } catch (error) {
    broken++
    tell(error as { trace?: readonly string[] })
    console.error(`seed ${seed}: ${(error as Error).message}\n` +
      `  once more, in full: npm run simulate -- --seed ${seed} --trace${bug ? ` --bug ${bug}` : ''}`)
    process.exitCode = 1
  }
}
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
console.log(`${last - first + 1} seeds, ${events} events, ${broken} broken, in ${seconds} s`)
console.table(Object.fromEntries(Object.entries(counts).sort()))

function tell ({ trace, ...result }: Partial<RunResult>): void {
  for (const line of (values.trace && trace) || []) console.log(line)
  events += result.events ?? 0
  for (const [name, count] of Object.entries(result.counts ?? {})) counts[name] = (counts[name] ?? 0) + count
}

function number (text: string): number {
  if (!/^\d+$/.test(text)) fail(`${text} is no number`)
  return Number(text)
}

function fail (message: string): never {
  console.error(message)
  process.exit(2)
}
