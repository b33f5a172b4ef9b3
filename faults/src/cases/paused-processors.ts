import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'
import { SESSION_TIMEOUT_MS } from '../site.ts'

/**
 * A processor is paused (SIGSTOP) until its session has timed out and others own its partitions. Then it continues
 * (SIGCONT) with readings in memory and perhaps an open transaction, without knowing.
 */
export const pausedProcessors: Fault = {
  name: 'paused-processors',
  title: 'processors paused past their session (zombies)',
  async happen ({ processors }, chance, span) {
    let times = 0
    do {
      const zombie = chance.pick(processors.all)
      zombie.pause()
      times++
      await delay(chance.between(SESSION_TIMEOUT_MS * 1.2, SESSION_TIMEOUT_MS * 1.6))
      zombie.resume()
      await delay(chance.between(500, 2_000))
    } while (!span.isOver)
    return { times }
  }
}
