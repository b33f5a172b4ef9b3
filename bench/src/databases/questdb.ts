/** QuestDB: readings as rows in columns, by lines over HTTP. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { DAY_MS } from 'relay-rollups'

import { readingTimeMs } from '../history-fleet.ts'
import { readUsage } from '../process-usage.ts'
import {
  createReadings, lineStart, queryQuestDb, sendLines, startQuestDb, untilApplied, type Cell
} from '../questdb.ts'
import type { DatabasePeer } from './peer.ts'
import { TOP, type Answer, type BenchmarkQuery, type Selection } from './queries.ts'
import { inBatches, orderOfDevices, storedSteps, tailReadings } from './readings.ts'

const LINES_PER_REQUEST = 50_000
/** rows after which we wait until its log is applied, because a long log could fill the disk */
const APPLY_ROWS = 20_000_000

export async function openQuestDb (folder: string): Promise<DatabasePeer> {
  const server = await startQuestDb({ folder })
  const { url } = server
  return {
    name: 'QuestDB',
    async fill (stored) {
      await createReadings(url, stored.devices, stored.devices * DAY_MS / stored.readingMs)
      const starts = stored.fleet.map(lineStart)
      const order = orderOfDevices(stored)
      let sending = Promise.resolve() // the next lines are made while some are on their way
      let lines: string[] = []
      let sinceApplied = 0
      const send = async () => {
        await sending
        if (sinceApplied >= APPLY_ROWS) {
          await untilApplied(url)
          sinceApplied = 0
        }
        sending = sendLines(url, lines.join(''))
        sending.catch(() => {}) // awaited above, or below
        sinceApplied += lines.length
        lines = []
      }
      for (const { startMs, at, values } of storedSteps(stored)) {
        for (const n of order) {
          lines.push(`${starts[n]}${values[n][at]} ${readingTimeMs(n, startMs, 0, stored.readingMs)}\n`)
        }
        if (lines.length >= LINES_PER_REQUEST) await send()
      }
      if (lines.length > 0) await send()
      await sending
      await untilApplied(url)
    },
    async takeTail (stored) {
      const starts = stored.fleet.map(lineStart)
      for (const batch of inBatches(tailReadings(stored), LINES_PER_REQUEST)) {
        await sendLines(url, batch.map(it => `${starts[it.n]}${it.value} ${it.timeMs}\n`).join(''))
      }
      await untilApplied(url)
    },
    ask: query => ask(url, query),
    readUsage: () => readUsage(server.pid),
    readSizeBytes: () => sizeOf(join(folder, 'db')),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

async function ask (url: string, query: BenchmarkQuery): Promise<Answer> {
  if (query.kind === 'latest') {
    const rows = await queryQuestDb(url, `
      select device, ts, value from (select * from readings latest on ts partition by device) order by device`)
    return rows.map(([device, ts, value]) =>
      ({ device: String(device), timeMs: Date.parse(String(ts)), value: Number(value) }))
  }
  const where = whereOf(query.selection, query.startMs, query.endMs)
  switch (query.kind) {
    case 'top': {
      const rows = await queryQuestDb(url, `
        select device, avg from (select device, avg(value) avg from readings ${where}) order by avg desc limit ${TOP}`)
      return rows.map(([device, avg]) => ({ device: String(device), avg: Number(avg) }))
    }
    case 'p99': {
      const [[p99]] = await queryQuestDb(url, `select approx_percentile(value, 0.99, 3) from readings ${where}`)
      return [{ p99: Number(p99) }]
    }
    case 'total':
      return toRows(await queryQuestDb(url,
        `select count(), min(value), max(value), avg(value) from readings ${where}`))
    case 'rows': {
      const unit = query.interval === 'hour' ? '1h' : '1d'
      const rows = await queryQuestDb(url, `
        select ts, count(), min(value), max(value), avg(value) from readings ${where}
        sample by ${unit} align to calendar time zone '${query.timeZone}'`)
      return toRows(rows.map(it => it.slice(1)))
    }
  }
}

function whereOf (selection: Selection, startMs: number, endMs: number): string {
  const names = Object.entries(selection).map(([column, name]) => ` and ${column} = '${name.replaceAll("'", "''")}'`)
  return `where ts >= '${new Date(startMs).toISOString()}' and ts < '${new Date(endMs).toISOString()}'${names.join('')}`
}

const toRows = (rows: readonly Cell[][]): Answer =>
  rows.map(([count, min, max, avg]) => ({ count: Number(count), min: Number(min), max: Number(max), avg: Number(avg) }))

/** Disk usage of a folder: files may be sparse. */
async function sizeOf (folder: string): Promise<number> {
  let blocks = 0
  for (const it of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (it.isFile()) blocks += await stat(join(it.parentPath, it.name)).then(file => file.blocks, () => 0)
  }
  return blocks * 512
}
