import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'
import { SESSION_TIMEOUT_MS } from '../site.ts'

/**
 * A processor stands still (SIGSTOP) until its session is over and others own its partitions; then it goes on
 * (SIGCONT), with readings in memory and perhaps a transaction half done, and does not know.
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
