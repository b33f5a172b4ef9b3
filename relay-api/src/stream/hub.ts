/**
 * The hub: what changes in the rollups, once for all who watch.
 *
 *     notification ──▶ round: commits since the position ──▶ changes by view ──▶ rows, one statement a level
 *                             ──▶ rendered once a view ──▶ its clients, and the position moves
 *
 * A round that fails moves nothing, and is made again. Clients come and go between rounds, so that whoever is told the
 * position is told all that comes behind it.
 *
 * When the database is of another history, what clients were told may not be so any more: they are all told to ask anew,
 * and views look their series up again.
 */
import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

import pLimit from 'p-limit'
import { RelayError, type Database, type Logger, type Registry } from 'relay-common'

import type { DatabaseHistory } from '../database-history.ts'
import type { Budgets } from '../budgets/budgets.ts'
import { chooseDropped } from './buffers.ts'
import { Client, type EndReason } from './client.ts'
import { readChanges, readCommits, readNow, type Commit } from './commits.ts'
import type { StreamConfig } from './config.ts'
import { startListener, type Listener } from './listener.ts'
import { renderHeartbeat, renderOpen, renderReset, renderTold, withId } from './message.ts'
import { createStreamMetrics } from './metrics.ts'
import { parsePosition, whyNotResumable, type Position } from './position.ts'
import { nameOf, type Question, type View } from './view.ts'
import { Views } from './views.ts'
import { gather, readWindows } from './windows.ts'

/** a round begins so long after the one before at the earliest: commits of several processors go together */
const ROUND_INTERVAL_MS = 100
/** and so long after it at the latest, should a notification be lost */
const LOOK_INTERVAL_MS = 5_000
const RETRY_DELAY_MS = 1_000
/** so many clients that come back are read for at once; the others wait, and live changes don't */
const RESUMES_MAX = 4
/** how often it is asked whether a client may still listen; with the 3 s for which a key is kept, a revoked one ends in 5 */
const PERMISSION_INTERVAL_MS = 2_000

export interface HubDatabases {
  readonly database: Database
  /** the same one, by a way on which sessions are kept */
  readonly listenDatabase: Database
}

interface Listening {
  readonly view: View
  readonly caller: string
  readonly held: Disposable
  readonly mayStay: () => Promise<void>
}

export class Hub {
  readonly #database: Database
  readonly #listenDatabase: Database
  readonly #history: DatabaseHistory
  readonly #config: StreamConfig
  readonly #log: Logger
  readonly #metrics: ReturnType<typeof createStreamMetrics>
  readonly #views: Views
  readonly #budgets: Budgets
  /** by caller: of each question that its streams ask, how many do, and what it holds for it */
  readonly #asked = new Map<string, Map<string, { streams: number, readonly held: Disposable }>>()
  readonly #clients = new Map<Client, Listening>()
  readonly #resumes = pLimit(RESUMES_MAX)
  readonly #closing = new AbortController()
  /** transactions at or behind the position that have been told already */
  #told = new Set<bigint>()
  #position: Position | undefined
  #started: Promise<void> | undefined
  #listener: Listener | undefined
  #running: Promise<void> | undefined
  #round: Promise<void> | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #permissions: NodeJS.Timeout | undefined
  #opening = 0
  #isDue = false
  #stopWaiting: (() => void) | undefined

  constructor (
    databases: HubDatabases, history: DatabaseHistory, config: StreamConfig, budgets: Budgets, metrics: Registry, log: Logger
  ) {
    const { database, listenDatabase } = databases
    this.#database = database
    this.#listenDatabase = listenDatabase
    this.#history = history
    this.#config = config
    this.#log = log
    this.#budgets = budgets
    this.#views = new Views(database)
    this.#metrics = createStreamMetrics(metrics, () => this.#clients.size)
  }

  /**
   * Opens a stream.
   * @param lastId where the client was when it left; undefined: it is new
   * @param respond begins the answer; called when nothing can refuse it any more
   * @param mayStay asked from time to time; throws when the client may not listen any more
   * @param caller whose budgets it is of
   * @throws RelayError RELAY_STREAM_FULL, RELAY_BUDGET_EXCEEDED, RELAY_TOO_MANY_POINTS for too many groups,
   *   RELAY_DATABASE_UNREACHABLE
   */
  async open (
    question: Question, lastId: string | undefined, respond: () => ServerResponse, mayStay: () => Promise<void>,
    caller: string
  ): Promise<void> {
    if (this.#clients.size + this.#opening >= this.#config.STREAM_CLIENTS_MAX) {
      throw new RelayError('RELAY_STREAM_FULL', `${this.#clients.size} streams are open`)
    }
    this.#refuseWhileClosing()
    if (lastId !== undefined) this.#budgets.spend('streamResumes', caller)
    let held: Disposable | undefined = this.#holdBudgets(caller, question)
    this.#opening++
    try {
      await (this.#started ??= this.#start())
      const view = await this.#viewBetweenRounds(question)
      this.#refuseWhileClosing() // nobody would end a stream that begins now
      this.#add(view, lastId, respond(), { caller, mayStay, held })
      held = undefined // it is the client's
    } finally {
      this.#opening--
      held?.[Symbol.dispose]()
    }
  }

  /** What a stream takes of its caller's budgets: itself, and its question where no other stream of the caller asks it. */
  #holdBudgets (caller: string, question: Question): Disposable {
    const name = nameOf(question)
    const stream = this.#budgets.hold('streams', caller)
    const questions = this.#asked.get(caller) ?? new Map<string, { streams: number, readonly held: Disposable }>()
    let asked = questions.get(name)
    if (asked === undefined) {
      try {
        asked = { streams: 0, held: this.#budgets.hold('streamViews', caller) }
      } catch (error) {
        stream[Symbol.dispose]()
        throw error
      }
      questions.set(name, asked)
      this.#asked.set(caller, questions)
    }
    const own = asked
    own.streams++
    return {
      [Symbol.dispose]: () => {
        stream[Symbol.dispose]()
        if (--own.streams > 0) return
        own.held[Symbol.dispose]()
        questions.delete(name)
        if (questions.size === 0) this.#asked.delete(caller)
      }
    }
  }

  async close (): Promise<void> {
    for (const client of [...this.#clients.keys()]) client.end('closing')
    this.#closing.abort()
    this.#resumes.clearQueue()
    this.#wake()
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
    this.#listener = startListener(this.#listenDatabase, () => this.#wake(), this.#log)
    this.#heartbeat = setInterval(() => this.#beat(), this.#config.STREAM_HEARTBEAT_MS)
    this.#permissions = setInterval(() => this.#askPermissions(), PERMISSION_INTERVAL_MS)
    this.#running = this.#run()
  }

  /** Where the database is, in a history that has a name. */
  async #readNow (): Promise<Position> {
    const now = await readNow(this.#database)
    if (now) return now
    await this.#history.ensure()
    const named = await readNow(this.#database)
    if (named) return named
    throw new RelayError('RELAY_DATABASE_UNREACHABLE', 'could not store the history id of the database: the role may not write it')
  }

  /** The view of a question. When this returns no round is under way, and the view is among those of the next one. */
  async #viewBetweenRounds (question: Question): Promise<View> {
    for (;;) {
      const view = await this.#views.open(question)
      while (this.#round) await this.#round.catch(() => {})
      if (this.#views.has(view)) return view // the last of its clients may have gone meanwhile
    }
  }

  #add (
    view: View, lastId: string | undefined, response: ServerResponse, of: Pick<Listening, 'caller' | 'mayStay' | 'held'>
  ): void {
    const client = new Client(response, {
      bufferMaxBytes: this.#config.STREAM_BUFFER_MAX_BYTES, ended: reason => this.#remove(client, reason)
    })
    view.clients.add(client)
    this.#clients.set(client, { view, ...of })
    if (response.destroyed) return this.#remove(client, undefined) // it went while we made ready
    if (lastId === undefined) {
      client.send(renderOpen(this.#position!))
      return
    }
    client.hold()
    this.#resumes(() => this.#resume(client, view, lastId)).catch(error => {
      this.#log.warn({ err: error }, 'could not read the changes that a client missed')
      client.end('failed') // it comes back with the id that it has
    })
  }

  async #run (): Promise<void> {
    const { signal } = this.#closing
    let isFailing = false
    while (!signal.aborted) {
      this.#isDue = false
      try {
        await (this.#round = this.#tell())
        isFailing = false
      } catch (error) {
        if (!isFailing) this.#log.warn({ err: error }, 'could not read changes; retrying')
        isFailing = true
      } finally {
        this.#round = undefined
      }
      await delay(isFailing ? RETRY_DELAY_MS : ROUND_INTERVAL_MS, undefined, { signal }).catch(() => {})
      if (!isFailing && !signal.aborted) await this.#due()
    }
  }

  #wake (): void {
    this.#isDue = true
    this.#stopWaiting?.()
  }

  /** Waits for a notification, or until it is time to look without one. */
  async #due (): Promise<void> {
    if (this.#isDue) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, LOOK_INTERVAL_MS)
      this.#stopWaiting = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#stopWaiting = undefined
  }

  /** One round. Up to the last step nothing is changed but what views know of their series. */
  async #tell (): Promise<void> {
    const before = this.#position!
    const levelIndexes = [...new Set([...this.#views].map(it => it.question.levelIndex))]
    const { now, commits } = await readCommits(this.#database, before, levelIndexes)
    if (!now) {
      await this.#readNow()
      return this.#wake()
    }
    this.#history.note(now.historyId)
    const reason = whyNotResumable(before, now)
    if (reason !== undefined) {
      if (now.historyId !== before.historyId) await this.#renewViews()
      this.#move(now, commits)
      this.#tellAll(renderReset(reason, now))
      return
    }
    const fresh = commits.filter(it => !this.#told.has(it.xactId))
    if (fresh.length === 0) {
      this.#move(now, commits)
      return
    }
    const endTimer = this.#metrics.round.startTimer()
    await this.#views.learn(new Set(fresh.flatMap(it => it.seriesIds ?? [])))
    const told = gather(fresh, this.#views, it => this.#views.of(it))
    const contents = await readWindows(this.#database, told)

    this.#boundBuffers()
    this.#move(now, commits)
    for (const [view, it] of told) {
      const text = renderTold(view, it, contents, (window, data) => view.note(window, data))
      if (text === '') continue
      const events = Buffer.from(withId(text, now)) // once for all
      for (const client of [...view.clients]) client.send(events)
    }
    endTimer()
  }

  #move (now: Position, commits: readonly Commit[]): void {
    this.#position = now
    this.#told = new Set(commits.map(it => it.xactId).filter(it => it >= now.xactId))
  }

  /** Tells a client that has come back what it has missed; what changes meanwhile comes behind that. */
  async #resume (client: Client, view: View, lastId: string): Promise<void> {
    if (client.hasEnded) return
    const now = await this.#readNow() // before the changes: they are these at least
    const since = parsePosition(lastId)
    const reason = since ? whyNotResumable(since, now) : 'unknown event id'
    if (!since || reason !== undefined) return client.release(renderReset(reason!, now) + renderOpen(now))
    const told = await this.#missed(view, since)
    const contents = await readWindows(this.#database, told)
    const text = [...told].map(([view, it]) => renderTold(view, it, contents)).join('')
    client.release(text + renderOpen(now))
  }

  async #missed (view: View, since: Position) {
    const ids = new Set(view.seriesIds)
    const changes = await readChanges(this.#database, since, view.question.levelIndex, [...ids])
    return gather(changes, [view], it => ids.has(it) ? [view] : [])
  }

  /**
   * What waits for all clients, and for those of each caller, is bounded: a full buffer each would be too much. Looked at
   * before more is sent: what has just been sent waits for everybody, and is one buffer for all clients of a view.
   */
  #boundBuffers (): void {
    const waiting = [...this.#clients].map(([client, { caller }]) => ({ client, caller, waitingBytes: client.waitingBytes }))
    const limits = { perCallerMaxBytes: this.#budgets.maxOf('streamBytes'), maxBytes: this.#config.STREAM_BUFFERS_MAX_BYTES }
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
    for (const [client, { mayStay }] of this.#clients) {
      mayStay().catch((error: { readonly code?: string }) => {
        if (error.code === 'RELAY_UNAUTHORIZED') client.end('unauthorized') // not where nobody can tell just now
      })
    }
  }

  async #renewViews (): Promise<void> {
    for (const { clients } of await this.#views.renew()) {
      for (const client of [...clients]) client.end('failed') // it comes back, and is told why it can't have that view
    }
  }

  #tellAll (text: string): void {
    for (const client of [...this.#clients.keys()]) client.send(text)
  }

  #remove (client: Client, reason: EndReason | undefined): void {
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
