/** Checks that the site closes connections left open by attacks within its deadlines. */
import { setTimeout as delay } from 'node:timers/promises'

import type { Attack } from './attack.ts'
import type { Lasted } from './attacker-process.ts'
import type { Attackers } from './children.ts'

/** State of the connections of one attack. */
export interface LastingVerdict { readonly name: string, readonly note: string, readonly broken: readonly string[] }

/**
 * Waits for the last deadline, and checks.
 * @param madeMs when each attack had left its connections, on the clock of `performance`
 */
export async function judgeLasting (
  attacks: readonly Attack[], holders: Attackers, madeMs: ReadonlyMap<string, number>
): Promise<LastingVerdict[]> {
  const lasting = attacks.filter(it => it.closedWithinMs !== undefined)
  if (lasting.length === 0) return []
  const latestMs = Math.max(...lasting.map(it => madeMs.get(it.name)! + it.closedWithinMs!))
  await delay(Math.max(0, latestMs - performance.now()))
  const lasted = await holders.lasted()
  return lasting.map(it => judge(it, lasted.find(({ name }) => name === it.name)))
}

function judge ({ name, closedWithinMs = 0 }: Attack, lasted: Lasted | undefined): LastingVerdict {
  if (lasted === undefined) return { name, note: '', broken: ['nobody knows what became of its connections'] }
  const { opened, stillOpen, slowestMs } = lasted
  const seconds = (ms: number, digits = 0) => `${(ms / 1_000).toFixed(digits)} s`
  return {
    name,
    note: `${opened - stillOpen} of ${opened} connections closed, the slowest after ${seconds(slowestMs, 1)}`,
    broken: [
      ...stillOpen > 0
        ? [`${stillOpen} of ${opened} connections are still open; they have to be closed within ${seconds(closedWithinMs)}`]
        : [],
      ...slowestMs > closedWithinMs
        ? [`a connection was closed after ${seconds(slowestMs)}; ${seconds(closedWithinMs)} are allowed`]
        : []
    ]
  }
}
