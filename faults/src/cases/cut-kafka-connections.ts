import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'

/** only requests of the producer contain this */
const EVENT = Buffer.from('"deviceId"')
const SEND_WAIT_MS = 1_000

/**
 * Connections to Kafka are cut at any moment, those of the producer and of processors: to one broker, or to all;
 * refused for a while; cut after a request, so that its answer is lost; and slow.
 */
export const cutKafkaConnections: Fault = {
  name: 'cut-kafka-connections',
  title: 'connections to Kafka cut and delayed',
  async happen ({ kafka }, chance, span) {
    let times = 0
    let lostAnswers = 0
    const proxies = kafka.brokers.map(it => it.proxy)
    do {
      const proxy = chance.pick(proxies)
      switch (chance.below(5)) {
        case 0:
          for (const it of proxies) it.cut()
          break
        case 1: // the broker has the records, and the producer does not know
          if (await proxy.cutBehind(EVENT, AbortSignal.timeout(SEND_WAIT_MS))) lostAnswers++
          break
        case 2:
          proxy.cut()
          break
        case 3:
          proxy.isRefusing = true
          proxy.cut()
          await delay(chance.between(200, 3_000))
          proxy.isRefusing = false
          break
        default:
          for (const it of proxies) it.delayMs = chance.between(20, 150)
          await delay(chance.between(500, 1_500))
          proxy.cut()
          for (const it of proxies) it.delayMs = 0
      }
      times++
      await delay(chance.between(50, 800))
    } while (!span.isOver || lostAnswers === 0)
    return { times, note: `${lostAnswers} answers to the producer lost` }
  }
}
