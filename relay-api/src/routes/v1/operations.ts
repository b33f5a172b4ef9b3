/** `GET /api/v1/operations`: how the site does, for administrators who may see all of it. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { isLimited } from 'relay-access'
import { readPrograms, RelayError } from 'relay-common'
import { gapKinds } from 'relay-event-log'
import { readProgressByName, type StoredProgress } from 'relay-rollups'
import { Type } from 'typebox'

import { readGaps } from '../../gaps.ts'
import { lagSeconds, type PartitionLag } from '../../lag.ts'
import { OpenEnum } from '../../open-enum.ts'
import { problemResponses } from '../../problem.ts'
import type { V1Parts } from './parts.ts'

const GAPS_SHOWN_MAX = 100

const Time = (description: string) => Type.String({ format: 'date-time', description })
const NullableTime = (description: string) => Type.Unsafe<string | null>(
  { type: ['string', 'null'], format: 'date-time', description }
)
const NullableInteger = (description: string) => Type.Unsafe<number | null>({ type: ['integer', 'null'], description })
const NullableNumber = (description: string) => Type.Unsafe<number | null>({ type: ['number', 'null'], description })
const NullableString = (description: string) => Type.Unsafe<string | null>({ type: ['string', 'null'], description })

const partitionSchema = Type.Object({
  partition: Type.Integer(),
  owner: NullableString('instance of the processor that has it; null: none ever had it'),
  nextOffset: NullableInteger('offset of the next record to read; null: nothing was read'),
  endOffset: NullableInteger('offset that the next record will get; null: the event log is unreachable'),
  lagRecords: NullableInteger('records that are not in the rollups yet; null: unknown'),
  lagSeconds: NullableNumber('time since the oldest of them was appended; 0: there is none; null: unknown'),
  newestEventTime: NullableTime('newest event time in the rollups'),
  flushedAt: NullableTime('when its progress last moved')
}, { title: 'PartitionStatus' })

const gapSchema = Type.Object({
  topic: Type.String(),
  partition: Type.Integer(),
  kind: OpenEnum(gapKinds),
  expectedOffset: Type.Integer({ description: 'where reading should have continued' }),
  availableOffset: Type.Integer({ description: 'first offset after the gap' }),
  foundAt: Time('when a processor met it')
}, { title: 'Gap', description: 'records that were gone from the event log before they were read' })

const programSchema = Type.Object({
  program: Type.String({ description: 'relay-processor or relay-api' }),
  instance: Type.String({ description: 'host or configured name, and process id' }),
  version: Type.String(),
  startedAt: Time('when it started'),
  seenAt: Time('when it last reported itself; it does every 10 s'),
  isUp: Type.Boolean({ description: 'whether it reported itself lately' }),
  readingsPerSecond: NullableNumber('of a processor: readings counted per second, since the report before'),
  flushSeconds: NullableNumber(
    'of a processor: average time to write a flush, since the report before; null: no flush'
  ),
  freshnessSeconds: NullableNumber(
    'of a processor: average time from the append of a reading to the commit of its rollups; null: no reading'
  )
}, { title: 'ProgramStatus' })

const schema = {
  operationId: 'getOperations',
  summary: 'Status of the site: lag by partition, gaps, replica and programs',
  description: 'For administrators without grants: it is about all devices. Two answers give rates: `nextOffset` ' +
    'moves as records are ' +
    'read, `endOffset` as they are sent.',
  tags: ['operations'],
  response: {
    200: Type.Object({
      asOf: Time('of this answer'),
      topic: Type.String({ description: 'topic of the events' }),
      isEventLogReachable: Type.Boolean(
        { description: 'false: this API can\'t read the event log, or does not know it' }
      ),
      completeThrough: NullableTime('answers have all readings up to this event time; null: unknown'),
      partitions: Type.Array(partitionSchema, { description: 'ordered by partition' }),
      gapCount: Type.Integer({ description: 'gaps that were ever recorded' }),
      gaps: Type.Array(gapSchema, { description: `the newest ${GAPS_SHOWN_MAX}, newest first` }),
      hasReplica: Type.Boolean({ description: 'whether this API reads from a replica' }),
      replicaLagSeconds: NullableNumber('how far the replica is behind; null: there is none, or it is unreachable'),
      programs: Type.Array(programSchema, { description: 'programs that reported themselves in the last hour' })
    }, { title: 'Operations' }),
    ...problemResponses()
  }
}

export function operationsRoutes (app: FastifyInstance, { config, database, reads, completeness, lag }: V1Parts): void {
  app.withTypeProvider<TypeBoxTypeProvider>().get('/operations', { config: { scope: 'admin' }, schema }, async (
    request, reply
  ) => {
    if (isLimited(request.principal.grants)) {
      throw new RelayError('RELAY_FORBIDDEN', 'the status is about all devices: it needs a key or token without grants')
    }
    const lags = await lag.read().catch(error => {
      if ((error as Error).name === 'TimeoutError' || (error as RelayError).code === 'RELAY_EVENT_LOG_UNREACHABLE') {
        return undefined
      }
      throw error
    })
    const nowMs = Date.now()
    const [completeThroughMs, progress, gaps, programs] = await Promise.all([
      completeness.read(reads.choosePrimary(request.answer)),
      readProgressByName(database, config.EVENTS_TOPIC),
      readGaps(database, GAPS_SHOWN_MAX),
      readPrograms(database)
    ])
    const replicaLagMs = reads.replicaLagMs()
    reply.header('cache-control', 'no-store')
    return {
      asOf: toIso(nowMs),
      topic: config.EVENTS_TOPIC,
      isEventLogReachable: lags !== undefined,
      completeThrough: toIsoOrNull(completeThroughMs),
      partitions: partitionsOf(progress, lags, nowMs),
      gapCount: gaps.total,
      gaps: gaps.newest.map(({ foundMs, expectedOffset, availableOffset, ...it }) =>
        ({
          ...it,
          expectedOffset: Number(expectedOffset),
          availableOffset: Number(availableOffset),
          foundAt: toIso(foundMs)
        })),
      hasReplica: replicaLagMs !== undefined,
      replicaLagSeconds: replicaLagMs === undefined || !Number.isFinite(replicaLagMs) ? null : replicaLagMs / 1000,
      programs: programs.map(({ startedMs, seenMs, measured, ...it }) => ({
        ...it,
        startedAt: toIso(startedMs),
        seenAt: toIso(seenMs),
        readingsPerSecond: measured.readingsPerSecond ?? null,
        flushSeconds: measured.flushSeconds ?? null,
        freshnessSeconds: measured.freshnessSeconds ?? null
      }))
    }
  })
}

/** @param lags undefined: the event log is unreachable */
function partitionsOf (progress: readonly StoredProgress[], lags: readonly PartitionLag[] | undefined, nowMs: number) {
  const numbers = new Set([...progress.map(it => it.partition), ...lags?.map(it => it.partition) ?? []])
  return [...numbers].sort((a, b) => a - b).map(partition => {
    const own = progress.find(it => it.partition === partition)
    const lag = lags?.find(it => it.partition === partition)
    return {
      partition,
      owner: own?.owner ?? null,
      nextOffset: own ? Number(own.nextOffset) : null,
      endOffset: lag ? Number(lag.endOffset) : null,
      lagRecords: lag ? Number(lag.endOffset - lag.offset) : null,
      lagSeconds: lag ? lagSeconds(lag, nowMs) : null,
      newestEventTime: toIsoOrNull(own?.eventTimeMaxMs),
      flushedAt: toIsoOrNull(own?.flushedMs)
    }
  })
}

function toIso (timeMs: number): string {
  return new Date(timeMs).toISOString()
}

function toIsoOrNull (timeMs: number | undefined): string | null {
  return timeMs === undefined ? null : toIso(timeMs)
}
