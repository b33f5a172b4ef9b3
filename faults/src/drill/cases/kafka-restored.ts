import { join } from 'node:path'

import { until } from 'relay-test-support/until.ts'
import { copyDisk, restoreDisk } from '../../broker-copy.ts'
import { readProgress } from '../../site.ts'
import type { Drill } from '../drill.ts'
import type { DrillSite } from '../site.ts'

/** more than the processors' lag */
const MARGIN_MS = 10_000

/**
 * The disk of the only broker is replaced by an older copy, while processors are down. Devices fill it beyond what had
 * been read before processors see it.
 */
export function kafkaRestored (): Drill {
  let copiedMs = 0
  return {
    name: 'kafka-restored',
    title: 'Kafka restored from an older copy, and filled again',
    isLogLost: true,
    async prepare ({ kafka, folder, load }) {
      await load.pause()
      copiedMs = Date.now()
      await copyDisk(kafka.brokers[0], copyOf(folder))
      load.resume()
    },
    async destroy (site) {
      const { kafka, folder, processors, load } = site
      await load.pause()
      for (const it of processors.all) await it.kill()
      await restoreDisk(kafka.brokers[0], copyOf(folder))
      load.resume()
      await until('the log to be filled beyond what was read', () => isFilled(site))
      // they end at the gap, again and again, as under a supervisor
      processors.start().catch(() => {})
      await until('the gap to be recorded', async () =>
        (await site.database.query("select from gaps where kind = 'records-replaced'")).length > 0)
    },
    async recover ({ operator }) {
      await operator.follow('Kafka restored', { SINCE: new Date(copiedMs - MARGIN_MS).toISOString() })
    }
  }
}

const copyOf = (folder: string) => join(folder, 'kafka-copy')

async function isFilled (site: DrillSite): Promise<boolean> {
  const progress = await readProgress(site)
  const ends = await site.eventLog.readOffsets(site.topic)
  return ends.every(it => it.endOffset > (progress.get(it.partition)?.next_offset ?? 0n))
}
