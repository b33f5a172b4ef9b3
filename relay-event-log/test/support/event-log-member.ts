/**
 * A member of a consumer group as a process that a test may kill. It reads its partitions and writes a line for every
 * event, `{"kind":"assigned","partitions":[0,1]}`.
 *
 * Arguments: URL of the module that opens the log, name of its function, its settings as JSON, the settings of the
 * consumer as JSON.
 */
import { createLogger } from 'relay-common'
import type { EventLog } from '../../src/port.ts'

const [module, name, logSettings, consumerSettings] = process.argv.slice(2) as [string, string, string, string]

const { [name]: open } = await import(module)
const eventLog: EventLog = await open(JSON.parse(logSettings), createLogger('event-log-member', 'silent'))
const consumer = await eventLog.openConsumer(JSON.parse(consumerSettings))
const say = (line: object) => process.stdout.write(JSON.stringify(line) + '\n')

for (;;) {
  const news = await consumer.next(1_000)
  switch (news.kind) {
    case 'assigned':
      for (const partition of news.partitions) consumer.start(partition, 0n)
      say({ kind: news.kind, partitions: news.partitions })
      break
    case 'revoked':
      await consumer.release(news.partitions)
      say({ kind: news.kind, partitions: news.partitions })
      break
    case 'lost':
      say({ kind: news.kind, partitions: news.partitions })
      break
    case 'records':
      say({ kind: news.kind, partition: news.records.partition, nextOffset: String(news.records.nextOffset) })
      break
    default:
      say({ kind: news.kind })
  }
}
