import assert from 'node:assert/strict'
import { test } from 'node:test'

import { findJava } from '../../relay-stack/src/kafka.ts'
import { createTopic, fillBacklog } from '../src/backlog.ts'
import { runConsumerBenchmark } from '../src/consumer-benchmark.ts'
import { buildKafkaStreams, runKafkaStreams } from '../src/kafka-streams.ts'
import { runProcessor } from '../src/relay-processor.ts'
import { kafkaCacheDir, openServers } from '../src/servers.ts'

const java = await findJava(kafkaCacheDir)
const skip = java.kind === 'missing' && !process.env.CI ? `needs ${java.what}` : false

test('a compressed backlog is read to its end by the processor and its peers, and measured', { skip }, async () => {
  await using servers = await openServers()
  const backlog = { topic: 'events', events: 20_000, devices: 50, partitions: 4 }
  await createTopic(servers.admin, backlog, 'zstd')
  await fillBacklog(servers.eventLog, backlog)

  const { rows, ...relay } = await runProcessor(servers, backlog, { name: 'relay' }) // it checks every count
  const minutes = Math.ceil(backlog.events / backlog.devices / 60)
  assert.ok(rows > minutes * backlog.devices, `${rows} rows`)
  const jars = await buildKafkaStreams()
  const peers = [
    await runConsumerBenchmark(servers, backlog, 'peer'),
    await runKafkaStreams(servers, backlog, 'streams', jars, 'none'), // it checks its count, and so does the next
    await runKafkaStreams(servers, backlog, 'streams-exactly-once', jars, 'exactly-once')
  ]
  for (const run of [relay, ...peers]) {
    assert.ok(run.readingEventsPerSecond > run.eventsPerSecond && run.eventsPerSecond > 0, run.who)
    assert.ok(run.cpuUsPerEvent > 0 && run.memoryMaxMb > 10, run.who)
  }
})
