/** `npm run bench -- all`: Relay and its peers, measured in one run on one machine. */
import { Command } from 'commander'
import { version } from 'relay-common'

import { benchAccess } from './access.ts'
import { benchAccuracy } from './accuracy.ts'
import { benchAll } from './all.ts'
import { benchApi } from './api.ts'
import { benchDatabases } from './databases.ts'
import { benchFreshness } from './freshness.ts'
import { benchIngest } from './ingest.ts'
import { benchLive } from './live.ts'
import { livePeerNames, readLivePeers } from './live-peers.ts'
import { benchMemory } from './memory.ts'
import { benchPoison } from './poison.ts'
import { benchProcessor, readCompressions } from './processor.ts'
import { benchScaling } from './scaling.ts'
import { benchTracing } from './tracing.ts'

const program = new Command('bench').version(version).description('Benchmarks of Relay beside their peers')

program.command('all')
  .description('all of the following, and all codecs: what docs/performance.md shows')
  .option('--quick', 'few events, to see that all works; results go to .relay/bench')
  .action(benchAll)

program.command('live')
  .description('a live fleet: what an event costs, and how fresh answers are')
  .option('--devices <n>', 'devices', Number, 10_000)
  .option('--interval-s <n>', 'seconds between two readings of a device', Number, 1)
  .option('--seconds <n>', 'how long it is measured', Number, 300)
  .option(
    '--warm-up <n>',
    'seconds before that: until journaled readings have become rows, for it is a part of what they cost', Number, 180
  )
  .option('--late <share>', 'share of readings that are late by minutes to days', Number, 0)
  .option('--resent <share>', 'share of readings that are sent twice', Number, 0)
  .option('--probe-seconds <n>', 'how long freshness is measured behind that; 0: not at all', Number, 60)
  .option('--peers <names>', `databases that get the same fleet: ${livePeerNames.join(', ')}; comma-separated`,
    readLivePeers, [])
  .option('--quick', 'results go to .relay/bench')
  .option('--cpu-prof <folder>', 'write a CPU profile of the processor there')
  .action(benchLive)

program.command('processor')
  .description('a backlog to the last commit, beside the consumer benchmark of Kafka and Kafka Streams')
  .option('--events <n>', 'events in the backlog', Number, 5_000_000)
  .option('--devices <n>', 'devices, one event a second each', Number, 1_000)
  .option('--partitions <n>', 'partitions of the topic', Number, 8)
  .option('--repeats <n>', 'repeats, interleaved', Number, 3)
  .option('--compression <codecs>', 'none, lz4, zstd, snappy, gzip; commas between them', readCompressions, ['none'])
  .option('--no-streams', 'without Kafka Streams')
  .option('--no-exactly-once', 'without the Kafka Streams that promises what Relay does')
  .option('--quick', 'results go to .relay/bench: they are no more than a hint')
  .option('--cpu-prof <folder>', 'write CPU profiles of the processor there')
  .action(benchProcessor)

program.command('scaling')
  .description('what an event costs with more devices, larger windows, older and later events, a row for each event')
  .option('--repeats <n>', 'repeats of each case, in turn with those that it is compared with', Number, 3)
  .option('--only <text>', 'only cases whose name has this in it; results go to .relay/bench')
  .option('--quick', 'a tenth of the events; results go to .relay/bench')
  .option('--cpu-prof <folder>', 'write CPU profiles of the processor there')
  .action(benchScaling)

program.command('memory')
  .description('what a series takes in the memory of a processor, hot and idle')
  .option('--series <n>', 'series of the smaller of two processors', Number, 20_000)
  .option('--quick', 'results go to .relay/bench')
  .action(benchMemory)

program.command('freshness')
  .description('from produce to visible in the API, at a steady rate')
  .option('--rate <n>', 'events/s', Number, 10_000)
  .option('--devices <n>', 'devices that send them', Number, 10_000)
  .option('--seconds <n>', 'how long it is measured', Number, 60)
  .option('--quick', 'results go to .relay/bench')
  .action(benchFreshness)

program.command('api')
  .description('questions about 400 days of 1,000 devices, beside a bare Fastify with `select 1`')
  .option('--devices <n>', 'devices, one reading a minute each', Number, 1_000)
  .option('--days <n>', 'days of history', Number, 400)
  .option('--connections <n>', 'clients at a time', Number, 10)
  .option('--seconds <n>', 'how long each load lasts', Number, 5)
  .option('--repeats <n>', 'loads of the API and of the bare server in turn', Number, 3)
  .option('--memory-seconds <n>', 'how long memory is watched at the end', Number, 600)
  .option('--only <text>', 'only questions whose name has this in it')
  .option('--quick', 'results go to .relay/bench')
  .action(benchApi)

program.command('databases')
  .description('questions about 260 million readings, beside QuestDB and plain rows of PostgreSQL')
  .option('--size <share>', 'of the devices of each history', Number, 1)
  .option('--only <text>', 'only histories whose name has this in it')
  .option('--queries <n>', 'queries of each kind', Number, 20)
  .option('--quick', 'a hundredth of the readings; results go to .relay/bench')
  .action(benchDatabases)

program.command('accuracy')
  .description('percentiles of a year of ten million readings, beside those of the sorted readings')
  .option('--quick', 'results go to .relay/bench')
  .action(benchAccuracy)

program.command('access')
  .description('what it costs to know who asks: access tokens and API keys, seen before or not')
  .option('--credentials <n>', 'of each kind', Number, 2_000)
  .option('--repeats <n>', 'repeats, each on an API that knows nobody yet', Number, 5)
  .option('--quick', 'results go to .relay/bench')
  .action(benchAccess)

program.command('ingest')
  .description('events by HTTP and MQTT up to the durable acknowledgement, beside a bare Fastify and the same Kafka')
  .option('--events <n>', 'events one by one; in bodies of 1,000 ten times as many', Number, 50_000)
  .option('--repeats <n>', 'repeats, in turn with the bare server', Number, 3)
  .option('--only <text>', 'only ways whose name has this in it; results go to .relay/bench')
  .option('--quick', 'results go to .relay/bench')
  .option('--cpu-prof <folder>', 'write a CPU profile of the API there')
  .action(benchIngest)

program.command('tracing')
  .description('what tracing costs processor and API: the same work with and without a collector')
  .option('--events <n>', 'events of the backlog', Number, 3_000_000)
  .option('--repeats <n>', 'repeats, in turn with and without', Number, 3)
  .option('--quick', 'results go to .relay/bench')
  .action(benchTracing)

program.command('poison')
  .description('a flood in which nothing is an event: dead letters from the first claim to the last commit')
  .option('--records <n>', 'records of poison', Number, 1_000_000)
  .option('--quick', 'results go to .relay/bench')
  .option('--cpu-prof <folder>', 'write a CPU profile of the processor there')
  .action(benchPoison)

await program.parseAsync()
