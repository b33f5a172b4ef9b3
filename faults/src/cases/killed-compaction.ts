import { setTimeout as delay } from 'node:timers/promises'

import { dayLevel } from 'relay-rollups'

import { until } from 'relay-test-support/until.ts'
import type { Fault } from '../fault.ts'

/**
 * All processors are killed (kill -9) while one compacts the journal. Its transaction has written minutes and hours,
 * waits for the days, and has not removed anything from the journal. Or they are killed at the moment of the commit,
 * which may succeed or not.
 */
export const killedCompaction: Fault = {
  name: 'killed-compaction',
  title: 'processors killed (kill -9) while they compact',
  async happen ({ processors, database }, chance, span) {
    let times = 0
    const kill = async () => { await Promise.all(processors.all.map(it => it.kill())) }
    do {
      const isInside = chance.happens(0.5)
      await database.transaction(async client => {
        await client.query(`lock table ${dayLevel.table} in share mode`)
        await until('a processor to write days', async () => {
          const waiting = await database.query(
            'select from pg_locks where not granted and relation = $1::regclass limit 1', [dayLevel.table]
          )
          return waiting.length > 0
        })
        if (isInside) await kill()
      })
      if (!isInside) {
        await delay(chance.between(0, 20))
        await kill()
      }
      times++
      await Promise.all(processors.all.map(it => it.start(chance.happens(0.5))))
      await delay(chance.between(200, 2_000))
    } while (!span.isOver)
    return { times }
  }
}
