import { createLogger } from '../src/log.ts'
import { eventLogContract } from './event-log.contract.ts'
import { openLocalPostgres } from './support/local-postgres.ts'
import { openPostgresLog } from './support/postgres-log.ts'

const log = createLogger('test', 'error')

eventLogContract('postgres', async t => {
  const { database, settings } = await openLocalPostgres(t)
  const eventLog = await openPostgresLog(settings, log)
  t.after(() => eventLog.close())
  return {
    eventLog,
    elsewhere: { module: new URL('./support/postgres-log.ts', import.meta.url).href, name: 'openPostgresLog', settings },
    async deleteTopic (topic) {
      await database.query('select drop_event_log_topic($1)', [topic])
    },
    async deleteRecords (topic, partition, beforeOffset) {
      await database.query(`
        update event_log_partitions p set start_offset = $3
        from event_log_topics t
        where t.topic_id = p.topic_id and t.topic = $1 and p.partition = $2`, [topic, partition, beforeOffset])
    }
  }
})
