import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'

/** Brokers are restarted (SIGTERM), one after the other, as in an upgrade of the cluster. */
export const restartedBrokers: Fault = {
  name: 'restarted-brokers',
  title: 'brokers restarted one by one (SIGTERM)',
  brokersMin: 3,
  async happen ({ kafka }, chance, span) {
    let times = 0
    do {
      for (const broker of kafka.brokers) {
        await broker.stop()
        times++
        await delay(chance.between(0, 1_000))
        await broker.start()
        await kafka.inSync()
      }
    } while (!span.isOver)
    return { times }
  }
}
