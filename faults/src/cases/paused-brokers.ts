import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'

/**
 * One broker of three is paused (SIGSTOP): it accepts connections but answers nothing. The others elect new leaders.
 * Then it continues (SIGCONT), and believes that it leads until it hears of them.
 */
export const pausedBrokers: Fault = {
  name: 'paused-brokers',
  title: 'one broker of three paused',
  brokersMin: 3,
  async happen ({ kafka }, chance, span) {
    let times = 0
    do {
      const broker = chance.pick(kafka.brokers)
      broker.pause()
      times++
      await delay(chance.between(1_000, 10_000)) // brokers have a session of 3 s
      broker.resume()
      await kafka.inSync()
    } while (!span.isOver)
    return { times }
  }
}
