import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

import { Admin, Producer } from '@platformatic/kafka'
import type { LoggedRecord } from 'relay-event-log'

import type { Drill } from '../drill.ts'
import type { DrillSite } from '../site.ts'
import { lastReplayedMs } from './database-lost.ts'
import { setUpReplica } from './primary-lost.ts'

/** Replica and mirror are behind by so much. */
const BEHIND_MS = 3_000
/** more than the processors' lag */
const MARGIN_MS = 10_000
const SEND_RECORDS = 500

/**
 * Database, Kafka and processors are gone together. Elsewhere are a replica and a mirror of the topic, both behind. The
 * mirror began later than the topic, so its records have other offsets.
 */
export function siteElsewhere (): Drill {
  let destroyedMs = 0
  return {
    name: 'site-elsewhere',
    title: 'site lost: a replica and a mirror of the topic elsewhere',
    isLogLost: true,
    prepare: setUpReplica,
    async destroy (site) {
      const { processors, replication, databaseHost, kafka, load } = site
      replication.isRefusing = true
      replication.cut()
      const mirrored = await readMirror(site)
      await delay(BEHIND_MS)
      await load.pause()
      for (const it of processors.all) await it.kill()
      await databaseHost.destroy()
      const [broker] = kafka.brokers
      await broker.kill()
      destroyedMs = Date.now()
      // the other site has its own Kafka, at an address that clients can be told as well
      await rm(broker.dataDir, { recursive: true })
      await broker.start()
      await writeMirror(site, mirrored)
      load.resume()
    },
    async recover ({ operator, address, replicaHost }) {
      address.serverPort = replicaHost.port
      const SINCE = new Date(destroyedMs - BEHIND_MS - MARGIN_MS).toISOString()
      await operator.follow('Site lost', { SINCE })
    },
    lostCommitsMs: async site => destroyedMs - await lastReplayedMs(site)
  }
}

/** The newer two thirds of each partition. */
async function readMirror ({ eventLog, topic }: DrillSite): Promise<LoggedRecord[]> {
  const records: LoggedRecord[] = []
  for (const { partition, startOffset, endOffset } of await eventLog.readOffsets(topic)) {
    const first = startOffset + (endOffset - startOffset) / 3n
    for await (const it of eventLog.readRecords(topic, partition, first, endOffset)) {
      records.push({ ...it, key: it.key && Buffer.from(it.key), value: it.value && Buffer.from(it.value) })
    }
  }
  return records
}

/** As mirrors do: the same partitions, keys and times, in a topic with the defaults of its broker. */
async function writeMirror ({ kafka, topic }: DrillSite, records: readonly LoggedRecord[]): Promise<void> {
  const settings = { clientId: 'mirror', bootstrapBrokers: kafka.bootstrapServers.split(',') }
  const admin = new Admin(settings)
  const partitions = Math.max(...records.map(it => it.partition)) + 1
  await admin.createTopics({ topics: [topic], partitions, replicas: 1 })
  await admin.close()
  const producer = new Producer<Buffer, Buffer>({ ...settings, autocreateTopics: false })
  for (let n = 0; n < records.length; n += SEND_RECORDS) {
    await producer.send({
      messages: records.slice(n, n + SEND_RECORDS).map(({ partition, key, value, appendedMs }) => ({
        topic, partition, timestamp: BigInt(appendedMs), ...key ? { key } : {}, ...value ? { value } : {}
      }))
    })
  }
  await producer.close()
}
