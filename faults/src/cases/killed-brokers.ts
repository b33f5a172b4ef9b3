import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'

/**
 * One broker of three is killed (kill -9): its partitions, the group that it coordinated and perhaps the controller
 * move to the others, from which it restores what it had not flushed.
 */
export const killedBrokers: Fault = {
  name: 'killed-brokers',
  title: 'one broker of three killed (kill -9)',
  brokersMin: 3,
  async happen ({ kafka }, chance, span) {
    let times = 0
    do {
      const victim = chance.pick(kafka.brokers)
      await victim.kill()
      times++
      await delay(chance.between(500, 5_000))
      await victim.start()
      await kafka.inSync()
    } while (!span.isOver)
    return { times }
  }
}
