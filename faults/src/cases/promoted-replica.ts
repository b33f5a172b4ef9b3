import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'

/** PostgreSQL crashes, and a replica without its last commits replaces it. */
export const promotedReplica: Fault = {
  name: 'promoted-replica',
  title: 'a replica without the last commits in the place of PostgreSQL',
  async happen ({ postgres }, chance, span) {
    let times = 0
    do {
      await postgres.backUp()
      const standby = await postgres.startStandby()
      await delay(chance.between(500, 2_000))
      standby.cutOff()
      await delay(chance.between(1_000, 4_000)) // these commits are lost
      await standby.takeOver()
      times++
      await delay(chance.between(300, 3_000))
    } while (!span.isOver)
    return { times }
  }
}
