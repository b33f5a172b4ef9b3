/**
 * Writes `docs/drills.md` from `faults/results/drills.json`, so that no figure is copied by hand:
 *
 *     npm exec -- node docs/drills.ts
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import type { DrillReport } from '../faults/src/drill/drill.ts'

export const WRITE_COMMAND = 'npm exec -- node docs/drills.ts'

const page = new URL('drills.md', import.meta.url)
const results = new URL('../faults/results/drills.json', import.meta.url)

const whole = (n: number) => n.toLocaleString('en')

export function renderDrills (): string {
  const reports: DrillReport[] = existsSync(results) ? JSON.parse(readFileSync(results, 'utf8')) : []
  const rows = reports.map(it => [
    it.title, it.date.slice(0, 10), whole(it.events), it.lost + it.doubled, it.lostUnlessResent,
    it.lostCommitsS.toFixed(1), it.commandsS.toFixed(1), it.recoveredS.toFixed(1), it.verified
  ])
  const head = '| drill | date | events | lost or doubled | lost unless sent again | other commits, s ' +
    '| commands, s | recovered, s | `relay verify` |'
  return `# Drills

Times of [disaster recovery](disaster-recovery.md), measured by \`npm run drill\`:

    npm run drill                              # all drills; some minutes
    npm run drill -- --only database-lost      # one of them

A drill has a real Kafka, a real PostgreSQL and two processors on this machine. The processors log in with a database
user of their own. The load is 500 events per second, some of them late, resent or invalid. A drill prepares the site
by the commands of the page, destroys a part of it (\`kill -9\` and \`rm\`), and restores it by the commands of the
page. The load continues meanwhile. Afterwards every row is compared with a plain recomputation of the topic, as in
[faults](faults.md#what-is-checked), and \`relay verify\` has to find no difference. A drill whose commands fail has
failed, so the page is tested too.

- *Lost or doubled*: readings. Kafka acknowledged their events.
- *Lost unless sent again*: readings that the log lost before a processor had committed them. The devices of the drill
  send everything again.
- *Other commits*: what only the database has, such as API keys. Commits of this time before the loss are missing (the
  recovery point).
- *Commands*: how long the operator's commands took. Time to notice, to decide and to get a host comes on top.
- *Recovered*: from the first command until all events that were sent by the end of the commands are in the rollups
  (the recovery time).

${head}
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
${rows.map(it => `| ${it.join(' | ')} |\n`).join('')}
One machine with two shared cores and a database of some MB: copying a base backup of your size takes longer, and so
does the recovery of more WAL. \`pg_stat_wal\` shows how much you write.

You need PostgreSQL with \`pg_basebackup\` (Debian: \`apt-get install postgresql\`), Java 17, and Maven once, for Kafka.
The figures are also in [faults/results/drills.json](../faults/results/drills.json).
`
}

if (import.meta.main) writeFileSync(page, renderDrills())
