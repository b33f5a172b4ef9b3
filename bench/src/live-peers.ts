/** Databases that a live fleet sends to directly, four times per second, each alone on the machine. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { DAY_MS } from 'relay-rollups'
import { Pool } from 'pg'

import { endWith } from './children.ts'
import type { LiveOptions } from './live.ts'
import { askLive, askQuestDb, askRows, type LiveAnswers, type LiveAsker } from './live-queries.ts'
import { createLiveFleet, type SinkSettings } from './live-sinks.ts'
import { readTreeUsage, readUsage, type Usage } from './process-usage.ts'
import { createReadings, queryQuestDb, startQuestDb, untilApplied } from './questdb.ts'
import { createRowsIndexes, createRowsTable, startRowsServer } from './rows-table.ts'

export const livePeerNames = ['questdb', 'questdb-sync', 'rows'] as const
export type LivePeerName = typeof livePeerNames[number]

export interface LivePeer extends LiveAnswers {
  readonly name: string
  readonly eventsPerSecond: number
  /** of all its processes, without the fleet and the query client */
  readonly cpuUsPerEvent: number
  /** that the system wrote to disk for them */
  readonly writtenBytesPerEvent: number
  /** different readings that were sent */
  readonly sent: number
  /** readings that it counts in the end */
  readonly counted: number
}

export function readLivePeers (text: string): LivePeerName[] {
  return text.split(',').map(it => {
    const known = livePeerNames.find(name => name === it)
    if (!known) throw new Error(`a peer is one of ${livePeerNames.join(', ')}, not ${it}`)
    return known
  })
}

/** Counts of what a fleet has sent so far. */
export interface FleetReport {
  sent: number
  acknowledged: number
  resent: number
  late: number
  /** how late it was itself, at most: it has the same processors */
  behindMaxMs: number
}

interface PeerServer extends AsyncDisposable {
  readonly name: string
  readonly sink: SinkSettings
  readonly asker: LiveAsker
  readUsage (): Promise<Usage>
  /** Readings that it counts, when all that was sent is in answers. */
  count (): Promise<number>
}

const openers: Readonly<Record<LivePeerName, (folder: string, options: LiveOptions) => Promise<PeerServer>>> = {
  questdb: (folder, options) => openQuestDb(folder, options, false),
  'questdb-sync': (folder, options) => openQuestDb(folder, options, true),
  rows: openRows
}

export async function measureLivePeer (name: LivePeerName, options: LiveOptions): Promise<LivePeer> {
  const { seconds, warmUp } = options
  const folder = await mkdtemp(join(tmpdir(), 'relay-bench-'))
  await using opened = new AsyncDisposableStack()
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755) // root runs PostgreSQL as another user
  const server = opened.use(await openers[name](folder, options))
  console.log(`the same fleet into ${server.name} …`)
  const fleet = startFleet(options, server.sink)
  await delay(warmUp * 1000)
  const before = await look(server, fleet)
  await delay(seconds * 1000)
  const after = await look(server, fleet)
  const events = after.events - before.events
  const answers = await askLive(server.asker, options)
  const { sent, resent } = await fleet.end()
  return {
    name: server.name,
    eventsPerSecond: events / (after.atMs - before.atMs) * 1000,
    cpuUsPerEvent: (after.cpuSeconds - before.cpuSeconds) / events * 1e6,
    writtenBytesPerEvent: (after.writtenBytes - before.writtenBytes) / events,
    ...answers,
    sent: sent - resent,
    counted: await server.count()
  }
}

async function look (server: PeerServer, fleet: RunningFleet) {
  const [usage, { acknowledged }] = await Promise.all([server.readUsage(), fleet.report()])
  return { ...usage, events: acknowledged, atMs: performance.now() }
}

export interface RunningFleet {
  readonly pid: number
  report (): Promise<FleetReport>
  end (): Promise<FleetReport>
}

export function startFleet ({ devices, intervalS, late, resent }: LiveOptions, sink: SinkSettings): RunningFleet {
  const intervalMs = intervalS * 1000
  const child = fork(fileURLToPath(new URL('./live-fleet.ts', import.meta.url)), {
    env: { ...process.env, FLEET: JSON.stringify({ devices, intervalMs, late, resent, sink }) }
  })
  const ending = endWith(child)
  const failed = once(child, 'exit').then(([code]): never => { throw new Error(`the fleet ended with ${code}`) })
  failed.catch(() => {}) // reported at the next call
  const ask = async (what: 'report' | 'end') => {
    if (child.connected) child.send(what)
    const [report] = await Promise.race([failed, once(child, 'message')]) as [FleetReport]
    return report
  }
  return {
    pid: child.pid!,
    report: () => ask('report'),
    async end () {
      const report = await ask('end')
      ending[Symbol.dispose]()
      return report
    }
  }
}

async function openQuestDb (
  folder: string, { devices, intervalS }: LiveOptions, isSynced: boolean
): Promise<PeerServer> {
  const server = await startQuestDb({ folder, isSynced })
  const { url } = server
  await createReadings(url, devices, devices * DAY_MS / 1000 / intervalS)
  return {
    name: isSynced ? 'QuestDB, synced commits' : 'QuestDB',
    sink: { kind: 'questdb', url },
    asker: askQuestDb(url),
    readUsage: () => readUsage(server.pid),
    async count () {
      await untilApplied(url)
      return Number((await queryQuestDb(url, 'select count() from readings'))[0][0])
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

async function openRows (folder: string, { devices }: LiveOptions): Promise<PeerServer> {
  await using opened = new AsyncDisposableStack()
  const { client, pid, url } = opened.use(await startRowsServer(folder))
  await createRowsTable(client, createLiveFleet(devices))
  await createRowsIndexes(client)
  const asking = opened.adopt(new Pool({ connectionString: url }), it => it.end())
  const running = opened.move()
  return {
    name: 'PostgreSQL, rows by COPY',
    sink: { kind: 'rows', url },
    asker: askRows(asking),
    readUsage: () => readTreeUsage(pid),
    async count () {
      const { rows } = await client.query<{ count: number }>('select count(*)::float8 as count from readings')
      return rows[0].count
    },
    [Symbol.asyncDispose]: () => running.disposeAsync()
  }
}
