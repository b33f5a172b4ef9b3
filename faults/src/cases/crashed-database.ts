import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'

/** PostgreSQL is killed with all its processes at any moment, and recovers from its log. */
export const crashedDatabase: Fault = {
  name: 'crashed-database',
  title: 'PostgreSQL killed (kill -9)',
  async happen ({ postgres }, chance, span) {
    let times = 0
    do {
      await postgres.crash()
      times++
      await delay(chance.between(0, 2_000))
      await postgres.start()
      await delay(chance.between(300, 3_000))
    } while (!span.isOver)
    return { times }
  }
}
