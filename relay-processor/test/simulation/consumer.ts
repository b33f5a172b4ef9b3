/**
 * A consumer and a producer of the simulated log, as seen by a process: according to the contract of the event log's
 * port.
 */
import { RelayError } from 'relay-common'
import type { ConsumerNews, EventConsumer, EventProducer, ProducedRecord } from 'relay-event-log'

import { recordsOf } from '../support/records.ts'
import type { Log } from './log.ts'
import type { Process, RemoteFault } from './process.ts'

const HEARTBEAT_MS = 400
/** most records of one fetch */
const FETCH_MAX = 12

const lost = () => new RelayError('RELAY_EVENT_LOG_UNREACHABLE', 'the connection to the broker was cut')

interface Waiting {
  readonly deadlineMs: number
  isTimed: boolean
  readonly resolve: (news: ConsumerNews) => void
}

export class SimulatedConsumer implements EventConsumer {
  readonly #process: Process
  readonly #log: Log
  readonly #group: string
  /** news of the membership, before records */
  readonly #news: ConsumerNews[] = []
  readonly #positions = new Map<number, bigint>()
  readonly #owned = new Set<number>()
  readonly #revoking = new Set<number>()
  #ownedTopicId = ''
  #memberId: string | undefined
  #waiting: Waiting | undefined
  #isLooking = false
  #isClosed = false
  /** reports a release to the broker at once */
  #hurry: () => void = () => {}
  readonly #look = () => this.#lookSoon()

  constructor (process: Process, log: Log, group: string) {
    this.#process = process
    this.#log = log
    this.#group = group
    log.listen(this.#look)
    process.whenDead(() => log.unlisten(this.#look))
    this.#beat()
  }

  next (waitMaxMs: number, signal?: AbortSignal): Promise<ConsumerNews> {
    const { promise, resolve } = Promise.withResolvers<ConsumerNews>()
    if (signal?.aborted) return Promise.resolve({ kind: 'idle' })
    const waiting = { deadlineMs: this.#process.world.nowMs + waitMaxMs, isTimed: false, resolve }
    this.#waiting = waiting
    const giveUp = () => this.#answer(waiting, { kind: 'idle' })
    signal?.addEventListener('abort', giveUp, { once: true })
    promise.then(() => signal?.removeEventListener('abort', giveUp))
    this.#lookSoon()
    return promise
  }

  start (partition: number, offset: bigint): void {
    if (this.#owned.has(partition) && !this.#revoking.has(partition)) this.#positions.set(partition, offset)
    this.#lookSoon()
  }

  async release (partitions: readonly number[]): Promise<void> {
    for (const partition of partitions) {
      if (!this.#revoking.delete(partition)) continue
      this.#owned.delete(partition)
    }
    this.#hurry()
  }

  async commit (): Promise<void> {}

  async close (): Promise<void> {
    this.#isClosed = true
    this.#log.unlisten(this.#look)
    const memberId = this.#memberId
    if (memberId) await this.#ask('leave', () => this.#log.leave(memberId)).catch(() => {})
  }

  /** Heartbeats, one at a time, while the process lives. */
  async #beat (): Promise<void> {
    while (!this.#isClosed) {
      await this.#heartbeat()
      const hurried = new Promise<void>(resolve => { this.#hurry = resolve })
      await Promise.race([this.#process.sleep(HEARTBEAT_MS), hurried])
    }
  }

  async #heartbeat (): Promise<void> {
    try {
      this.#memberId ??= await this.#ask('join', () => this.#log.join(this.#group))
      const memberId = this.#memberId
      const [topicId, owned] = [this.#ownedTopicId, [...this.#owned]]
      const answer = await this.#ask('', () => this.#log.heartbeat(memberId, topicId, owned))
      if (this.#memberId !== memberId) return // of a session that is over
      if (answer.kind === 'unknown-member') this.#lose()
      else this.#follow(answer.topic, answer.partitions)
    } catch {} // the next heartbeat tries again
    this.#lookSoon()
  }

  #lose (): void {
    this.#memberId = undefined
    const partitions = [...this.#owned]
    this.#owned.clear()
    this.#revoking.clear()
    if (partitions.length > 0) this.#tell({ kind: 'lost', partitions })
  }

  #follow (topic: { topicId: string, name: string, partitions: number }, mine: readonly number[]): void {
    const isSame = topic.topicId === this.#ownedTopicId
    const revoked = [...this.#owned].filter(it => !(isSame && mine.includes(it)) && !this.#revoking.has(it))
    for (const it of revoked) this.#revoking.add(it)
    if (revoked.length > 0) this.#tell({ kind: 'revoked', partitions: revoked })
    if (this.#revoking.size > 0) return

    this.#ownedTopicId = topic.topicId
    const assigned = mine.filter(it => !this.#owned.has(it))
    for (const it of assigned) this.#owned.add(it)
    if (assigned.length > 0) this.#tell({ kind: 'assigned', topic, partitions: assigned })
  }

  #tell (news: Extract<ConsumerNews, { kind: 'assigned' | 'revoked' | 'lost' }>): void {
    for (const partition of news.partitions) this.#positions.delete(partition)
    this.#process.world.note(`${this.#process.name}: ${news.kind} ${news.partitions.join(', ')}`)
    this.#news.push(news)
  }

  #lookSoon (): void {
    if (!this.#waiting || this.#isLooking) return
    this.#isLooking = true
    const { world } = this.#process
    world.schedule(world.chance.between(0, 6), '', () => this.#process.deliver(() => {
      this.#isLooking = false
      const waiting = this.#waiting
      if (!waiting) return
      const news = this.#news.shift() ?? this.#fetch()
      if (news) return this.#answer(waiting, news)
      if (waiting.isTimed) return
      waiting.isTimed = true
      this.#process.sleep(Math.max(0, waiting.deadlineMs - world.nowMs)).then(() => this.#answer(
        waiting, { kind: 'idle' }
      ))
    }))
  }

  #answer (waiting: Waiting, news: ConsumerNews): void {
    if (this.#waiting !== waiting) return
    this.#waiting = undefined
    waiting.resolve(news)
  }

  /** Some records of some partition that has any. */
  #fetch (): ConsumerNews | undefined {
    const { topicId, partitions } = this.#log.topic
    if (this.#log.isAway || topicId !== this.#ownedTopicId) return undefined
    const { chance } = this.#process.world
    const ready = [...this.#positions].filter(([it, offset]) =>
      offset !== BigInt(partitions[it].records.length) || offset < partitions[it].startOffset)
    if (ready.length === 0) return undefined
    const [partition, position] = chance.pick(ready)
    const { records, startOffset } = partitions[partition]
    const endOffset = BigInt(records.length)
    if (position < startOffset || position > endOffset) {
      this.#positions.delete(partition)
      return {
        kind: 'gap',
        gap: 'offset-out-of-range',
        partition,
        expectedOffset: position,
        startOffset: BigInt(startOffset),
        endOffset
      }
    }
    const first = Number(position)
    const values = records.slice(first, first + chance.between(1, FETCH_MAX))
    this.#positions.set(partition, position + BigInt(values.length))
    return { kind: 'records', records: recordsOf(partition, position, values, endOffset) }
  }

  #ask<T> (what: string, serve: () => T): Promise<T> {
    return this.#process.ask(what, 'none', lost, serve)
  }
}

export interface ProducerFaults {
  /** rate of failed sends; the records may have been written anyway */
  lost: number
}

export class SimulatedProducer implements EventProducer {
  readonly #process: Process
  readonly #log: Log
  readonly #faults: ProducerFaults

  constructor (process: Process, log: Log, faults: ProducerFaults) {
    this.#process = process
    this.#log = log
    this.#faults = faults
  }

  send (_topic: string, records: readonly ProducedRecord[]): Promise<void> {
    const { chance } = this.#process.world
    const fault: RemoteFault = chance.happens(this.#faults.lost)
      ? chance.pick(['request-lost', 'answer-lost'] as const)
      : 'none'
    return this.#process.ask(`letters: ${records.length} dead ones`, fault, lost, () => {
      this.#log.checkReachable()
      for (const { value } of records) this.#log.deadLetters.add(String(value))
    })
  }

  async close (): Promise<void> {}
}
