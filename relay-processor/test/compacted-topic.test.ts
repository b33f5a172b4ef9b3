/** A topic compacted by Kafka loses unread readings: processor and API report it at start. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ConfigResourceTypes, IncrementalAlterConfigOperationTypes } from '@platformatic/kafka'
import { pino } from 'pino'
import { createMetrics, type Logger } from 'relay-common'

import { openOutbox } from '../../relay-api/src/ingest/outbox.ts'
import { KafkaClient } from '../../relay-event-log/src/kafka/client.ts'
import { until } from 'relay-test-support/until.ts'
import { startProcessor } from '../src/processor.ts'
import { openSite, type Site } from './support/open-processor.ts'

/** Makes Kafka compact a topic, as an operator would. */
async function setPolicy ({ config }: Site, resourceName: string, value: string): Promise<void> {
  const client = new KafkaClient({ bootstrapServers: [config.KAFKA_BOOTSTRAP_SERVERS!], clientId: 'relay-test' })
  try {
    const configs = [{ name: 'cleanup.policy', value, configOperation: IncrementalAlterConfigOperationTypes.SET }]
    await client.call('IncrementalAlterConfigs', await client.anyBroker(),
      [{ resourceType: ConfigResourceTypes.TOPIC, resourceName, configs }], false)
  } finally {
    await client.close()
  }
}

/** A logger, and the topics of its warnings. */
function listenForWarnings (): { log: Logger, warned: string[], lines: () => string } {
  const lines: string[] = []
  const warned: string[] = []
  const log = pino({ level: 'info' }, {
    write (line: string) {
      lines.push(line)
      const { msg, topic } = JSON.parse(line) as { msg: string, topic: string }
      if (/is compacted.*cleanup\.policy/.test(msg)) warned.push(topic)
    }
  })
  return { log, warned, lines: () => lines.join('') }
}

test('processor and API warn of a compacted topic at start, and of no other', { timeout: 120_000 }, async t => {
  const site = await openSite(t, 'kafka')
  if (!site) return
  const { EVENTS_TOPIC: events, DEAD_LETTERS_TOPIC: letters } = site.config
  const startBoth = async () => {
    const { log, warned, lines } = listenForWarnings()
    const processor = await startProcessor(site.config, log)
    await processor.close()
    const ofProcessor = warned.splice(0)
    const outbox = openOutbox({ ...site.config, INGEST_BREAKER_MS: 0 }, site.database, createMetrics('test'), log)
    await until('the API to take events', () => lines().includes('ingest started'))
    await outbox.close()
    return { ofProcessor, ofApi: warned }
  }
  assert.deepEqual(await startBoth(), { ofProcessor: [], ofApi: [] })

  await setPolicy(site, events, 'compact,delete')
  await setPolicy(site, letters, 'compact')
  await until(
    'the broker to say so',
    async () => await site.eventLog.isCompacted(events) && await site.eventLog.isCompacted(letters)
  )
  assert.deepEqual(await startBoth(), { ofProcessor: [events, letters], ofApi: [events] })
})
