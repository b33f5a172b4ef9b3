/** End to end: numbers of any size, sent over HTTP, through the log and a processor, to the answers of v1. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { createLogger } from 'relay-common'

import { toUnits } from 'relay-test-support/exact.ts'
import { anyValue, alikeValues } from 'relay-test-support/values.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { until } from 'relay-test-support/until.ts'
import { askAll, checkRow, decimal, expectedRows, questions, siteOf } from './support/asked-rows.ts'
import { authorization, openIngestSite, type IngestSite } from './support/ingest-site.ts'
import type { PlacedEvent } from './support/write-events.ts'

/** All digits of a double, up to 1,074 decimals. */
function allDigits (value: number): string {
  const units = toUnits(value)
  const digits = ((units < 0n ? -units : units) * 5n ** 1074n).toString().padStart(1_075, '0')
  return `${units < 0n ? '-' : ''}${digits.slice(0, -1_074)}.${digits.slice(-1_074)}`
}

/** A number slightly off the middle between two doubles, so that the last of many digits decides. */
function nearlyNext (value: number): string {
  if (!Number.isSafeInteger(value) || Math.abs(value) < 2 ** 52) return allDigits(value)
  return `${BigInt(value)}.4${'9'.repeat(60)}`
}

const spellings: ReadonlyArray<(value: number) => string> = [
  JSON.stringify, it => it.toExponential(20).replace('e+', 'E+'), allDigits, nearlyNext, it =>
    `${JSON.stringify(it)}${/[.e]/.test(String(it)) ? '' : '.000'}`
]

function written ({ deviceId, deviceType, zone, value, timestampMs }: PlacedEvent, n: number): string {
  const text = spellings[n % spellings.length](value)
  assert.equal(Number(text) + 0, value)
  return JSON.stringify({ deviceId, deviceType, zone, timestamp: new Date(timestampMs).toISOString() }).replace(
    /}$/, `,"value":${text}}`
  )
}

async function settle ({ log: { eventLog, topic }, database }: IngestSite): Promise<void> {
  const ends = await eventLog.readOffsets(topic)
  await until('all events to be in the rollups', async () => {
    const progress = await database.query<{ source_partition: number, next_offset: bigint }>(
      'select source_partition, next_offset from progress'
    )
    return ends.every(({ partition, startOffset, endOffset }) =>
      startOffset === endOffset ||
        progress.some(it => it.source_partition === partition && it.next_offset >= endOffset))
  })
}

// alone, among ordinary ones, all of one size; and so many that digests become sketches
const alike = alikeValues(300).map(it => fc.constantFrom(...it))
const values = fc.oneof(
  fc.constant(anyValue),
  fc.constant(fc.oneof({ weight: 20, arbitrary: decimal }, { weight: 1, arbitrary: anyValue })),
  alike
)

for (const journalS of ['0', '60']) {
  test(`every number of an answer is exact, or within its error, with JOURNAL_INTERVAL_S=${journalS}`, { timeout: 300_000 }, async t => {
    await using opened = new AsyncDisposableStack()
    const site = opened.use((await openIngestSite(t, 'postgres', {
      RATE_LIMIT_PRINCIPAL_MAX: '10000000', NEW_SERIES_PER_HOUR_MAX: '1000000', NEW_ZONES_PER_HOUR_MAX: '100000'
    }))!)
    const config = readProcessorConfig({
      ...site.environment, FLUSH_INTERVAL_MS: '20', JOURNAL_INTERVAL_S: journalS, HEALTH_PORT: '0'
    })
    opened.adopt(await startProcessor(config, createLogger('test', 'silent')), it => it.close())
    const ask = async (path: string) => {
      const response = await fetch(site.url + path, { headers: { authorization } })
      return { status: response.status, body: await response.json() as Record<string, any>, headers: {} }
    }
    let run = 0
    let rowCount = 0
    let estimated = 0
    const isRight = (values: fc.Arbitrary<fc.Arbitrary<number>>) => fc.asyncProperty(siteOf(
      values.map(value => value.map(it => it + 0)), 6
    ).chain(it => fc.tuple(fc.constant(it), questions(it))), async ([{ events: anywhere }, asked]) => {
      const name = `${++run}/`
      const events = anywhere.map(it => ({
        ...it, deviceId: name + it.deviceId, zone: name + it.zone, sourcePartition: 0
      }))
      const zones = [...new Set(events.map(it => it.zone))]
      const lines = events.map(written)
      // in several bodies, with some duplicates
      const bodies = [lines.slice(0, 90), lines.slice(90, 200), lines.slice(200), lines.slice(0, 40)].filter(it =>
        it.length > 0)
      for (const body of bodies) {
        const { status, body: answer } = await site.post(body.join('\n'), { 'content-type': 'application/x-ndjson' })
        assert.equal(status, 202, JSON.stringify(answer))
      }
      await settle(site)
      const times = events.map(it => it.timestampMs)
      const all = {
        ...asked[0],
        device: [],
        zone: [],
        type: [],
        groupBy: undefined,
        startMs: Math.min(...times),
        endMs: Math.max(...times) + 1,
        interval: 'range'
      }
      for (const it of [all, ...asked.slice(0, 4)]) {
        const question = {
          ...it,
          limit: 10_000,
          device: it.device.map(id => name + id),
          zone: it.zone.length > 0
            ? it.zone.map(zone => name + zone)
            : zones
        }
        const rows = await askAll({ ask }, question)
        const expected = expectedRows(events, question)
        assert.equal(rows.length, expected.length, JSON.stringify(question))
        for (const [n, row] of rows.entries()) {
          checkRow(row, expected[n], question)
          if (row.p90Error !== 0) estimated++
        }
        rowCount += rows.length
      }
    })
    await fc.assert(isRight(values), { numRuns: 8, endOnFailure: true })
    // chance may have made no sketch so far
    for (let n = 0; n < 30; n++) {
      if (estimated > 0) break
      await fc.assert(isRight(alike), { numRuns: 1 })
    }
    assert.ok(rowCount > 40 && estimated > 0, `${rowCount} rows, ${estimated} of them estimated`)
  })
}
