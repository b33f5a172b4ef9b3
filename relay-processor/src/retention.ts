import { HOUR_MS, levels, type Database, type Logger } from 'relay-common'

import type { ProcessorConfig } from './config.ts'

export interface Retention { close (): Promise<void> }

/**
 * Writes down how long each level is kept, and drops what is older, now and every hour. Several processors may do it at
 * once. With TimescaleDB its own policy does the dropping.
 */
export async function startRetention (database: Database, config: ProcessorConfig, log: Logger): Promise<Retention> {
  const days = [config.RETENTION_MINUTE_DAYS, config.RETENTION_HOUR_DAYS, config.RETENTION_DAY_DAYS]
  const names = [...levels.map(it => it.name), 'arrivals']
  for (const [index, keepDays] of [...days, days.includes(0) ? 0 : Math.max(...days)].entries()) {
    await database.query('select set_rollup_retention($1, make_interval(days => nullif($2::integer, 0)))', [names[index], keepDays])
  }

  const drop = async () => {
    try {
      const dropped = await database.query<{ name: string }>('select * from drop_old_rollups(now()) as t (name)')
      if (dropped.length > 0) log.info({ partitions: dropped.map(it => it.name) }, 'dropped rollups past their retention')
    } catch (error) {
      log.warn({ err: error }, 'rollups past their retention were not dropped; trying again in an hour')
    }
  }
  let running = drop()
  const timer = setInterval(() => { running = drop() }, HOUR_MS).unref()
  return {
    close: async () => {
      clearInterval(timer)
      await running
    }
  }
}
