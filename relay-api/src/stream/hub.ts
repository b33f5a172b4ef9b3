/**
 * The hub of live streams: reads changes of rollups once for all clients.
 *
 *     notification ──▶ round: commits since the position ──▶ changes by view ──▶ rows, one statement per level
 *                             ──▶ rendered once per view ──▶ its clients, and the position moves
 *
 * A round that fails moves nothing and is repeated. Clients come and go between rounds, so a client that received a
 * position receives everything after it. A resuming client first gets what it missed (resume.ts).
 *
 * If the history of the database changes, data that was sent may be wrong: all clients get a reset, and views look up
 * their series again.
 */
import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

import pLimit from 'p-limit'
import { RelayError, Wakeup, type Database, type Logger, type Registry, type Tracer } from 'relay-common'

import type { DatabaseHistory } from '../database-history.ts'
import type { Budgets } from '../budgets/budgets.ts'
import { chooseDropped } from './buffers.ts'
import { ClientConnection, type StreamEndReason } from './client-connection.ts'
import { readCommits, readNow, type Commit } from './commits.ts'
import type { StreamConfig } from './config.ts'
import { startListener, type Listener } from './listener.ts'
import { renderChanges, renderHeartbeat, renderOpen, renderReset, withId } from './message.ts'
import { createStreamMetrics } from './metrics.ts'
import { whyNotResumable, type CurrentPosition, type StreamPosition } from './position.ts'
import { renderMissed } from './resume.ts'
import { StreamBudgets } from './stream-budgets.ts'
import { traceRound } from './traced-flushes.ts'
import { nameOf, type ViewQuery, type View } from './view.ts'
import { Views } from './views.ts'
import { collectChanges, readChangedBuckets } from './changed-buckets.ts'

/** shortest time between two rounds: commits of several processors are combined */
const ROUND_INTERVAL_MS = 100
/** longest time between two rounds, in case a notification is lost */
const LOOK_INTERVAL_MS = 5_000
const RETRY_DELAY_MS = 1_000
/** reads for resuming clients that run at once; further ones wait, live changes do not */
const RESUMES_MAX = 4
/** how often permissions of clients are checked; with the 3 s for which a key is cached, a revoked one ends within 5 */
const PERMISSION_INTERVAL_MS = 2_000

export interface HubDatabases {
  readonly database: Database
  /** the same database without a pooler, so that its session is kept */
  readonly listenDatabase: Database
}

interface Listening {
  readonly view: View
  readonly caller: string
  readonly held: Disposable
  readonly checkPermission: () => Promise<void>
}

export class Hub {
  readonly #database: Database
  readonly #listenDatabase: Database
  readonly #history: DatabaseHistory
  readonly #config: StreamConfig
  readonly #log: Logger
  readonly #tracer: Tracer | undefined
  readonly #metrics: ReturnType<typeof createStreamMetrics>
  readonly #views: Views
  readonly #budgets: Budgets
  readonly #streamBudgets: StreamBudgets
  readonly #clients = new Map<ClientConnection, Listening>()
  readonly #resumes = pLimit(RESUMES_MAX)
  readonly #closing = new AbortController()
  /** transactions at or after the position whose changes were already sent */
  #sentXactIds = new Set<bigint>()
  #position: StreamPosition | undefined
  #started: Promise<void> | undefined
  #listener: Listener | undefined
  #running: Promise<void> | undefined
  #round: Promise<void> | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #permissions: NodeJS.Timeout | undefined
  #opening = 0
  readonly #wakeup = new Wakeup()

  constructor (
    databases: HubDatabases, history: DatabaseHistory, config: StreamConfig, budgets: Budgets, metrics: Registry,
    log: Logger, tracer?: Tracer
  ) {
    const { database, listenDatabase } = databases
    this.#database = database
    this.#listenDatabase = listenDatabase
    this.#history = history
    this.#config = config
    this.#log = log
    this.#tracer = tracer
    this.#budgets = budgets
    this.#streamBudgets = new StreamBudgets(budgets)
    this.#views = new Views(database)
    this.#metrics = createStreamMetrics(metrics, () => this.#clients.size)
  }

  /**
   * Opens a stream.
   * @param lastId last event id of a resuming client; undefined: a new client
   * @param respond starts the answer; called when nothing can refuse it any more
   * @param checkPermission called periodically; throws if the client may no longer listen
   * @param caller whose budgets apply
   * @throws RelayError RELAY_STREAM_FULL, RELAY_BUDGET_EXCEEDED, RELAY_TOO_MANY_POINTS for too many groups,
   *   RELAY_DATABASE_UNREACHABLE
   */
  async open (
    query: ViewQuery, lastId: string | undefined, respond: () => ServerResponse, checkPermission: () => Promise<void>,
    caller: string
  ): Promise<void> {
    if (this.#clients.size + this.#opening >= this.#config.STREAM_CLIENTS_MAX) {
      throw new RelayError('RELAY_STREAM_FULL', `${this.#clients.size} streams are open`)
    }
    this.#refuseWhileClosing()
    if (lastId !== undefined) this.#budgets.spend('streamResumes', caller)
    let held: Disposable | undefined = this.#streamBudgets.hold(caller, nameOf(query))
    this.#opening++
    try {
      await (this.#started ??= this.#start())
      const view = await this.#viewBetweenRounds(query)
      this.#refuseWhileClosing() // nobody would end a stream that begins now
      this.#add(view, lastId, respond(), { caller, checkPermission, held })
      held = undefined // it is the client's
    } finally {
      this.#opening--
      held?.[Symbol.dispose]()
    }
  }

  async close (): Promise<void> {
    for (const client of [...this.#clients.keys()]) client.end('closing')
    this.#closing.abort()
    this.#resumes.clearQueue()
    this.#wakeup.wake()
    await this.#started?.catch(() => {}) // it may be starting just now
    clearInterval(this.#heartbeat)
    clearInterval(this.#permissions)
    await this.#listener?.close()
    await this.#running
  }

  #refuseWhileClosing (): void {
    if (this.#closing.signal.aborted) throw new RelayError('RELAY_STREAM_FULL', 'this API is shutting down')
  }

  async #start (): Promise<void> {
    try {
      this.#position = await this.#readNow()
    } catch (error) {
      this.#started = undefined
      throw error
    }
    this.#listener = startListener(this.#listenDatabase, () => this.#wakeup.wake(), this.#log)
    this.#heartbeat = setInterval(() => this.#beat(), this.#config.STREAM_HEARTBEAT_MS)
    this.#permissions = setInterval(() => this.#askPermissions(), PERMISSION_INTERVAL_MS)
    this.#running = this.#run()
  }

  /** The current position of the database, in a history with an id. */
  async #readNow (): Promise<CurrentPosition> {
    const now = await readNow(this.#database)
    if (now) return now
    await this.#history.ensure()
    const named = await readNow(this.#database)
    if (named) return named
    throw new RelayError(
      'RELAY_DATABASE_UNREACHABLE', 'could not store the history id of the database: the role may not write it'
    )
  }

  /** The view of a query. When this returns no round is in progress, and the next one includes the view. */
  async #viewBetweenRounds (query: ViewQuery): Promise<View> {
    for (;;) {
      const view = await this.#views.open(query)
      while (this.#round) await this.#round.catch(() => {})
      if (this.#views.has(view)) return view // the last of its clients may have gone meanwhile
    }
  }

  #add (
    view: View, lastId: string | undefined, response: ServerResponse,
    of: Pick<Listening, 'caller' | 'checkPermission' | 'held'>
  ): void {
    const client = new ClientConnection(response, {
      bufferMaxBytes: this.#config.STREAM_BUFFER_MAX_BYTES, ended: reason => this.#remove(client, reason)
    })
    view.clients.add(client)
    this.#clients.set(client, { view, ...of })
    if (response.destroyed) return this.#remove(client, undefined) // it disconnected meanwhile
    if (lastId === undefined) {
      client.send(renderOpen(this.#position!))
      return
    }
    client.hold()
    this.#resumes(() => this.#resume(client, view, lastId)).catch(error => {
      this.#log.warn({ err: error }, 'could not read the changes that a client missed')
      client.end('failed') // it reconnects with its last id
    })
  }

  async #run (): Promise<void> {
    const { signal } = this.#closing
    let isFailing = false
    while (!signal.aborted) {
      try {
        await (this.#round = this.#sendChanges())
        isFailing = false
      } catch (error) {
        if (!isFailing) this.#log.warn({ err: error }, 'could not read changes; retrying')
        isFailing = true
      } finally {
        this.#round = undefined
      }
      await delay(isFailing ? RETRY_DELAY_MS : ROUND_INTERVAL_MS, undefined, { signal }).catch(() => {})
      if (!isFailing && !signal.aborted) await this.#wakeup.wait(LOOK_INTERVAL_MS)
    }
  }

  /** One round. Before its last step it changes only which series the views know. */
  async #sendChanges (): Promise<void> {
    const before = this.#position!
    const levelIndexes = [...new Set([...this.#views].map(it => it.query.levelIndex))]
    const { now, commits } = await readCommits(this.#database, before, levelIndexes)
    if (!now) {
      await this.#readNow()
      return this.#wakeup.wake()
    }
    this.#history.note(now.historyId)
    const reason = whyNotResumable(before, now)
    if (reason !== undefined) {
      if (now.historyId !== before.historyId) await this.#renewViews()
      this.#move(now, commits)
      this.#tellAll(renderReset(reason, now))
      return
    }
    const fresh = commits.filter(it => !this.#sentXactIds.has(it.xactId))
    if (fresh.length === 0) {
      this.#move(now, commits)
      return
    }
    const endTimer = this.#metrics.round.startTimer()
    const startedMs = Date.now()
    let clients = 0
    await this.#views.learn(new Set(fresh.flatMap(it => it.seriesIds ?? [])))
    const changes = collectChanges(fresh, this.#views, it => this.#views.of(it))
    const contents = await readChangedBuckets(this.#database, changes)

    this.#boundBuffers()
    this.#move(now, commits)
    for (const [view, it] of changes) {
      const text = renderChanges(view, it, contents, (window, data) => view.note(window, data))
      clients += view.clients.size
      if (text === '') continue // no news: they came with the round before, which read rows after its commits
      const events = Buffer.from(withId(text, now)) // once for all
      for (const client of [...view.clients]) client.send(events)
    }
    endTimer()
    if (!this.#tracer || clients === 0) return
    traceRound(this.#database, this.#tracer, { startedMs, endedMs: Date.now(), commits: fresh, clients })
      .catch(error => this.#log.debug({ err: error }, 'could not trace a round of live streams'))
  }

  #move (now: StreamPosition, commits: readonly Commit[]): void {
    this.#position = now
    this.#sentXactIds = new Set(commits.map(it => it.xactId).filter(it => it >= now.xactId))
  }

  /** Sends a resuming client what it missed; changes meanwhile are sent after that. */
  async #resume (client: ClientConnection, view: View, lastId: string): Promise<void> {
    if (client.hasEnded) return
    const now = await this.#readNow() // before the changes, so that they include all up to this position
    client.release(await renderMissed(this.#database, view, lastId, now))
  }

  /**
   * Bounds the buffers of all clients, and of each caller: one full buffer per client would be too much. Checked before
   * more is sent, because what was just sent waits for everybody and is one buffer for all clients of a view.
   */
  #boundBuffers (): void {
    const waiting = [...this.#clients].map(([client, { caller }]) => ({
      client, caller, waitingBytes: client.waitingBytes
    }))
    const limits = {
      perCallerMaxBytes: this.#budgets.maxOf('streamBytes'), maxBytes: this.#config.STREAM_BUFFERS_MAX_BYTES
    }
    for (const { client: { client, caller }, isCallers } of chooseDropped(waiting, limits)) {
      if (isCallers) this.#budgets.count('streamBytes', caller)
      client.cut()
    }
  }

  #beat (): void {
    const text = renderHeartbeat(this.#position!)
    for (const client of [...this.#clients.keys()]) {
      if (client.isHolding) continue
      client.send(text)
    }
    this.#boundBuffers()
  }

  #askPermissions (): void {
    for (const [client, { checkPermission }] of this.#clients) {
      checkPermission().catch((error: { readonly code?: string }) => {
        if (error.code === 'RELAY_UNAUTHORIZED') client.end('unauthorized') // not if the check itself failed
      })
    }
  }

  async #renewViews (): Promise<void> {
    for (const { clients } of await this.#views.renew()) {
      // it reconnects, and gets the reason why it can't have that view
      for (const client of [...clients]) client.end('failed')
    }
  }

  #tellAll (text: string): void {
    for (const client of [...this.#clients.keys()]) client.send(text)
  }

  #remove (client: ClientConnection, reason: StreamEndReason | undefined): void {
    const listening = this.#clients.get(client)
    if (!listening) return
    this.#clients.delete(client)
    listening.held[Symbol.dispose]()
    listening.view.clients.delete(client)
    this.#dropIdle(listening.view)
    if (reason !== undefined) this.#metrics.dropped.inc({ reason })
    if (reason === 'slow') this.#log.info('disconnected a stream client that was too slow')
  }

  #dropIdle (view: View): void {
    if (view.clients.size === 0) this.#views.drop(view)
  }
}
