import { setTimeout as delay } from 'node:timers/promises'

import type { Fault } from '../fault.ts'
import { SESSION_TIMEOUT_MS } from '../site.ts'

/**
 * Processors are killed (kill -9) at any point. Some restart at once with their name, before their session times out;
 * some without a name; some after others have taken over.
 */
export const killedProcessors: Fault = {
  name: 'killed-processors',
  title: 'processors killed (kill -9)',
  async happen ({ processors }, chance, span) {
    let times = 0
    do {
      const victims = processors.all.filter(() => chance.happens(0.5))
      if (victims.length === 0) victims.push(chance.pick(processors.all))
      const awayMs = chance.happens(0.3)
        ? chance.between(SESSION_TIMEOUT_MS, SESSION_TIMEOUT_MS * 1.5)
        : chance.between(0, 500)
      await Promise.all(victims.map(it => it.kill()))
      times += victims.length
      await delay(awayMs)
      await Promise.all(victims.map(it => it.start(chance.happens(0.5))))
      await delay(chance.between(200, 2_000))
    } while (!span.isOver)
    return { times }
  }
}
