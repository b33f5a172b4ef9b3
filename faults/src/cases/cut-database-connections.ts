import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'

const COMMIT = Buffer.from('commit\0') // as sent in the simple query protocol
const COMMIT_WAIT_MS = 3_000

/**
 * Connections to PostgreSQL are cut at any moment; cut after a COMMIT, which takes effect without an answer; refused
 * for a while; and slow.
 */
export const cutDatabaseConnections: Fault = {
  name: 'cut-database-connections',
  title: 'connections to PostgreSQL cut and delayed, answers to COMMIT lost',
  async happen ({ postgres: { proxy } }, chance, span) {
    let times = 0
    let lostCommits = 0
    do {
      switch (chance.below(5)) {
        case 0:
        case 1:
          if (await proxy.cutBehind(COMMIT, AbortSignal.timeout(COMMIT_WAIT_MS))) lostCommits++
          break
        case 2:
          proxy.cut()
          break
        case 3:
          proxy.isRefusing = true
          proxy.cut()
          await delay(chance.between(200, 2_000))
          proxy.isRefusing = false
          break
        default:
          proxy.delayMs = chance.between(20, 200)
          await delay(chance.between(500, 1_500))
          proxy.cut()
          proxy.delayMs = 0
      }
      times++
      await delay(chance.between(50, 800))
    } while (!span.isOver || lostCommits === 0)
    return { times, note: `${lostCommits} answers to COMMIT lost` }
  }
}
