import assert from 'node:assert/strict'
import { test } from 'node:test'

import { nightly } from 'relay-test-support/nightly.ts'
import { findJava } from '../../relay-stack/src/kafka.ts'
import { createTopic, fillBacklog } from '../src/backlog.ts'
import { runConsumerBenchmark } from '../src/consumer-benchmark.ts'
import { buildKafkaStreams, runKafkaStreams } from '../src/kafka-streams.ts'
import { runProcessor } from '../src/relay-processor.ts'
import { kafkaCacheDir, openServers } from '../src/servers.ts'

const java = await findJava(kafkaCacheDir)
const skip = java.kind === 'missing' && !process.env.CI ? `needs ${java.what}` : false

/** Servers with a compressed backlog. */
async function openBacklog () {
  await using opened = new AsyncDisposableStack()
  const servers = opened.use(await openServers())
  const backlog = { topic: 'events', events: 20_000, devices: 50, partitions: 4 }
  await createTopic(servers.admin, backlog, 'zstd')
  await fillBacklog(servers.eventLog, backlog)
  const running = opened.move()
  return { servers, backlog, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

function checkMeasurements (runs: ReadonlyArray<Awaited<ReturnType<typeof runConsumerBenchmark>>>): void {
  for (const run of runs) {
    assert.ok(run.readingEventsPerSecond > run.eventsPerSecond && run.eventsPerSecond > 0, run.who)
    assert.ok(run.cpuUsPerEvent > 0 && run.memoryMaxMb > 10, run.who)
  }
}

test('a compressed backlog is read to its end by the processor and a plain consumer, and measured', { skip }, async () => {
  await using opened = await openBacklog()
  const { servers, backlog } = opened
  const { rows, ...relay } = await runProcessor(servers, backlog, { name: 'relay' }) // it checks every count
  const minutes = Math.ceil(backlog.events / backlog.devices / 60)
  assert.ok(rows > minutes * backlog.devices, `${rows} rows`)
  checkMeasurements([relay, await runConsumerBenchmark(servers, backlog, 'peer')])
})

test('and by Kafka Streams, in both modes', { skip: skip || nightly('backlog-read-by-kafka-streams').skip }, async () => {
  await using opened = await openBacklog()
  const { servers, backlog } = opened
  const jars = await buildKafkaStreams()
  checkMeasurements([ // each checks its count
    await runKafkaStreams(servers, backlog, 'streams', jars, 'none'),
    await runKafkaStreams(servers, backlog, 'streams-exactly-once', jars, 'exactly-once')
  ])
})
