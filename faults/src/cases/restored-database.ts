import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'

/**
 * An older copy of PostgreSQL's data replaces the current one under running processors. The missing part is still in
 * the topic.
 */
export const restoredDatabase: Fault = {
  name: 'restored-database',
  title: 'an older copy of the database put back',
  async happen ({ postgres }, chance, span) {
    let times = 0
    do {
      await postgres.backUp()
      await delay(chance.between(1_000, 5_000))
      await postgres.restore()
      times++
      await delay(chance.between(300, 3_000))
    } while (!span.isOver)
    return { times }
  }
}
