/**
 * Consumers for tests of an event log: each member reads its partitions, from positions shared by all members of a
 * group (as processors share them in PostgreSQL), and records what it read.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { MessageChannel } from 'node:worker_threads'

import {
  type ConsumerNews, type ConsumerSettings, type EventConsumer, type EventLog, groupOver, type JoinGroup,
  type RecordSet, serveGroup, splitGroup
} from 'relay-event-log'

/** Longest wait for an expected event: a hand-over after a death takes a session timeout. */
const LIMIT_MS = 30_000

/** Session timeout of members in tests: short, so that a death is noticed soon, long enough for a busy machine. */
export const SESSION_TIMEOUT_MS = 3_000

export interface Read {
  readonly member: string
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
}

/** Copies the records of a set out of borrowed buffers. */
export function readRecords (records: RecordSet, member = ''): Read[] {
  const reads: Read[] = []
  records.forEach({
    record (buffer, keyStart, keyEnd, valueStart, valueEnd, offsetDelta) {
      const copy = (start: number, end: number) => start < 0 ? null : Buffer.from(buffer.subarray(start, end))
      reads.push({
        member,
        partition: records.partition,
        offset: records.baseOffset + BigInt(offsetDelta),
        key: copy(keyStart, keyEnd),
        value: copy(valueStart, valueEnd)
      })
    },
    corrupt (_bytes, offsetDelta, recordCount, detail) {
      const offset = records.baseOffset + BigInt(offsetDelta)
      assert.fail(`${recordCount} records from offset ${offset} are corrupt: ${detail}`)
    }
  })
  return reads
}

/** The next news of a consumer, except `idle`. */
export async function nextNews (consumer: EventConsumer, limitMs = LIMIT_MS): Promise<ConsumerNews> {
  for (const deadline = Date.now() + limitMs; Date.now() < deadline;) {
    const news = await consumer.next(Math.max(1, deadline - Date.now()))
    if (news.kind !== 'idle') return news
  }
  assert.fail(`nothing happened for ${limitMs} ms`)
}

/** Waits until all `partitions` of a lone consumer are assigned; does not start them. */
export async function waitAssigned (consumer: EventConsumer, partitions: number): Promise<void> {
  const assigned = new Set<number>()
  while (assigned.size < partitions) {
    const news = await nextNews(consumer)
    assert.equal(news.kind, 'assigned')
    if (news.kind === 'assigned') for (const partition of news.partitions) assigned.add(partition)
  }
}

/** Reads until `count` records have come. */
export async function takeRecords (consumer: EventConsumer, count: number): Promise<Read[]> {
  const reads: Read[] = []
  while (reads.length < count) {
    const news = await nextNews(consumer)
    assert.equal(news.kind, 'records', `expected records, got ${news.kind}`)
    if (news.kind === 'records') reads.push(...readRecords(news.records))
  }
  return reads
}

/** Several consumers of one group, and a record of everything that they read. */
export class Group {
  readonly reads: Read[] = []
  readonly positions = new Map<number, bigint>()
  readonly members = new Map<string, Member>()
  readonly #opened: AsyncDisposableStack
  readonly #log: EventLog
  readonly #settings: ConsumerSettings
  readonly #changes = new EventTarget()
  #failure: unknown

  constructor (opened: AsyncDisposableStack, log: EventLog, topic: string, group: string) {
    this.#opened = opened
    this.#log = log
    this.#settings = { topic, group, sessionTimeoutMs: SESSION_TIMEOUT_MS, fetchBufferMaxBytes: 16 * 1024 * 1024 }
  }

  /** @param shared the membership that it joins by, if not its own */
  async join (name: string, settings: Partial<ConsumerSettings> = {}, shared?: JoinGroup): Promise<Member> {
    const consumer = await this.#log.openConsumer({ ...this.#settings, ...settings }, shared)
    const member = new Member(name, consumer, this, () => this.#changes.dispatchEvent(new Event('change')))
    this.members.set(name, member)
    member.done.catch(error => {
      this.#failure = error
      this.#changes.dispatchEvent(new Event('change'))
    })
    this.#opened.defer(() => member.close())
    return member
  }

  /** Members that share one membership, as in threads. */
  async joinAsOne (names: readonly string[]): Promise<void> {
    const shares = splitGroup(await this.#log.openGroup(this.#settings), names.length)
    for (const [index, name] of names.entries()) {
      const { port1, port2 } = new MessageChannel()
      this.#opened.defer(() => port1.close())
      serveGroup(port1, shares[index])
      await this.join(name, {}, groupOver(port2))
    }
  }

  /** Waits, with a limit, until a condition about the group holds; an error of a member ends the wait. */
  async until (what: string, condition: () => boolean, limitMs = LIMIT_MS): Promise<void> {
    const signal = AbortSignal.timeout(limitMs)
    while (!condition()) {
      if (this.#failure) throw this.#failure
      await once(this.#changes, 'change', { signal })
        .catch(() => assert.fail(`${limitMs} ms went by before ${what}; ${this.#describe()}`))
    }
  }

  /** The owned partitions. */
  get owned (): number[] {
    return [...this.members.values()].flatMap(it => [...it.owned]).sort((a, b) => a - b)
  }

  #describe (): string {
    const owners = [...this.members.values()].map(it => `${it.name} owns [${[...it.owned]}]`)
    return `${owners.join(', ')}; ${this.reads.length} records read`
  }
}

export class Member {
  readonly name: string
  readonly owned = new Set<number>()
  readonly consumer: EventConsumer
  readonly kinds: ConsumerNews['kind'][] = []
  readonly done: Promise<void>
  readonly #group: Group
  readonly #changed: () => void
  readonly #stop = new AbortController()
  #closed: Promise<void> | undefined

  constructor (name: string, consumer: EventConsumer, group: Group, changed: () => void) {
    this.name = name
    this.consumer = consumer
    this.#group = group
    this.#changed = changed
    this.done = this.#run()
  }

  async #run (): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const news = await this.consumer.next(500, this.#stop.signal)
      if (news.kind !== 'idle') this.kinds.push(news.kind)
      await this.#take(news)
      this.#changed()
    }
  }

  async #take (news: ConsumerNews): Promise<void> {
    const { positions, reads } = this.#group
    switch (news.kind) {
      case 'assigned':
        for (const partition of news.partitions) {
          assert.ok(!this.owned.has(partition), `${this.name} was assigned partition ${partition} twice`)
          this.owned.add(partition)
          this.consumer.start(partition, positions.get(partition) ?? 0n)
        }
        return
      case 'records': {
        const { partition, nextOffset } = news.records
        assert.ok(this.owned.has(partition), `${this.name} got records of partition ${partition} without owning it`)
        reads.push(...readRecords(news.records, this.name))
        positions.set(partition, nextOffset)
        return
      }
      case 'revoked':
        for (const partition of news.partitions) this.owned.delete(partition)
        return this.consumer.release(news.partitions)
      case 'lost':
        for (const partition of news.partitions) this.owned.delete(partition)
        return
      case 'gap':
        assert.fail(`${this.name} was told a gap at ${news.expectedOffset} of partition ${news.partition}`)
    }
  }

  close (): Promise<void> {
    return (this.#closed ??= this.#leave())
  }

  async #leave (): Promise<void> {
    this.#stop.abort()
    try {
      await this.done
    } finally {
      this.owned.clear()
      await this.consumer.close()
    }
  }
}
