/**
 * Writes the table of `docs/capacity.md` from `bench/results/*.json`, so that no figure is copied by hand:
 *
 *     npm exec -- node docs/capacity.ts
 */
import { readFileSync, writeFileSync } from 'node:fs'

import type { IngestResult } from '../bench/src/ingest.ts'
import type { LiveResult } from '../bench/src/live.ts'
import type { MemoryResult } from '../bench/src/memory.ts'
import type { ScalingResult } from '../bench/src/scaling.ts'

export const WRITE_COMMAND = 'npm exec -- node docs/capacity.ts'

const page = new URL('capacity.md', import.meta.url)
const DAY_S = 86_400

function resultsOf<R> (name: string): R {
  return JSON.parse(readFileSync(new URL(`../bench/results/${name}.json`, import.meta.url), 'utf8')) as R
}

const whole = (n: number) => Math.round(n).toLocaleString('en')
const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => '---'), ...rows].map(it => `| ${it.join(' | ')} |\n`).join('')

function fleets (): string {
  const { cases } = resultsOf<LiveResult>('live')
  return table(['devices', 'events/s', 'cores: processor', 'PostgreSQL', 'Kafka', 'processor MB', 'WAL GB/day'],
    cases.filter(it => it.late + it.resent === 0).map(it => {
      const cores = (usPerEvent: number) => (usPerEvent * it.eventsPerSecond / 1e6).toFixed(2)
      const { processor, postgres, broker } = it.cpuUsPerEvent
      return [
        `${whole(it.devices)}, each ${it.intervalS} s`, whole(it.eventsPerSecond), cores(processor), cores(postgres),
        cores(broker), whole(it.processorMemoryMb), (it.walBytesPerEvent * it.eventsPerSecond * DAY_S / 1e9).toFixed(0)
      ]
    }))
}

function catchUp (): string {
  const { cases } = resultsOf<{ readonly cases: readonly ScalingResult[] }>('scaling')
  return table(['backlog of', 'events/s of one processor'],
    cases.filter(it => it.kind === 'devices').map(it => [it.name, whole(it.eventsPerSecond.median)]))
}

function ingest (): string {
  const { cases } = resultsOf<IngestResult>('ingest')
  return table(['way', 'events/s of one API', 'events/s per core of the API'], cases.map(({ way, relay }) =>
    [way, whole(relay.eventsPerSecond.median), whole(1e6 / relay.cpuUsPerEvent.median)]))
}

export function renderCapacity (): string {
  const { baseBytes, hotBytesPerSeries, idleBytesPerSeries } = resultsOf<MemoryResult>('memory')
  return `# Capacity

What a fleet needs. All figures are from [benchmarks](performance.md) on one machine with 2 cores, which Kafka,
PostgreSQL, Relay and the fleet share. Your cores and disks differ, so measure the case that is most like yours:

    npm run bench -- live --devices 10000 --interval-s 1

## The rollups of a live fleet

${fleets()}
- **Rate**: CPU follows events per second; few devices with many readings cost less per event than many with few.
- **Memory** of a processor: ${whole(baseBytes / 1e6)} MB, and ${whole(hotBytesPerSeries)} bytes per series with new readings
  (${whole(idleBytesPerSeries)} for one that is silent for an hour), besides buffers of Kafka and of the journal. Series above \`SERIES_IN_MEMORY_MAX\`
  are read from PostgreSQL when they send.
- **Partitions** limit how many processors can share the work. The default of \`EVENTS_PARTITIONS\` is 8; adding some later is safe
  ([promise 15](promises.md#order-late-events-and-duplicates)).

## Catching up

After an outage the log has a backlog. One processor reads it at this rate, while new events arrive:

${catchUp()}
An hour of 10,000 events per second is 36 million events. Divide by this rate less your own to know how long answers are
behind; [\`relay_lag_seconds\`](runbook.md#lag) shows it.

## Ingest

${ingest()}
Send several events per request where you can: a body of 1,000 costs a fraction per event. Events that producers send to
Kafka themselves cost the API nothing.

## Disk

- **Kafka** keeps each event for \`EVENTS_RETENTION_HOURS\`, on each replica.
- **PostgreSQL** keeps a row per device and minute, hour and day with readings, and rows of zones and types, which are few.
  \`RETENTION_MINUTE_DAYS\`, \`RETENTION_HOUR_DAYS\` and \`RETENTION_DAY_DAYS\` say how long. So disk follows devices and time, not the rate, as
  long as a device has at most \`READINGS_PER_ROW_MAX\` readings a minute. This query shows what a level has:

      select level, pg_size_pretty(sum(pg_total_relation_size(partition::regclass))) from rollup_partitions group by level;

- **WAL** is in the table above; archives and replicas get as much.

## Queries

The column *CPU us* of [the API](performance.md#the-api-npm-run-bench----api) is what each kind of query costs; large queries give way to short
ones. Query APIs have no state: add some behind the load balancer when their CPU is busy, and a [replica](configuration.md) of
PostgreSQL when the database's is.
`
}

if (import.meta.main) writeFileSync(page, renderCapacity())
