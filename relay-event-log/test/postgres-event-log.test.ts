import { createLogger } from 'relay-common'
import { eventLogContract } from './event-log.contract.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { elsewhere, openPostgresLog } from './support/postgres-log.ts'

eventLogContract('postgres', async t => {
  const { database, settings } = await openLocalPostgres(t)
  const eventLog = await openPostgresLog(settings, createLogger('test', 'error'))
  t.after(() => eventLog.close())
  return {
    eventLog,
    elsewhere: elsewhere(settings),
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
