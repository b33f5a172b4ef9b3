/**
 * Requests to a Kafka cluster, one at a time and named after the protocol. They use connections, codecs and version
 * negotiation of `@platformatic/kafka`. Everything above its codecs is ours (reasons are in `membership.ts`,
 * `fetch.ts` and `producer.ts`), including retries: a failed request is retried, or becomes
 * RELAY_EVENT_LOG_UNREACHABLE with the names of the servers.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionOptions as TlsOptions } from 'node:tls'

import {
  Base, findErrorBy, GenericError, kGetApi, kGetBootstrapConnection, kGetConnection, ListOffsetTimestamps,
  type API, type Callback, type Connection, type listOffsetsV9, type metadataV12
} from '@platformatic/kafka'

import { RelayError } from 'relay-common'
import { refusalOf } from './refusal.ts'
import type { PartitionOffsets, Topic } from '../port.ts'

export interface KafkaSettings {
  /** `host:port` of some brokers, which name the others */
  readonly bootstrapServers: readonly string[]
  readonly clientId: string
  /** undefined: no TLS */
  readonly tls?: TlsOptions
  /** undefined: no login */
  readonly sasl?: KafkaLogin
  /** how consumers share partitions; `auto`, the default: the newest protocol of the brokers */
  readonly groupProtocol?: GroupProtocol
}

/** `consumer`: KIP-848, the broker assigns partitions; `classic`: the members do */
export type GroupProtocol = 'auto' | 'consumer' | 'classic'

export interface KafkaLogin {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly username: string
  readonly password: string
}

/** A topic, and the leader of each of its partitions (-1: none at the moment). */
export interface TopicLayout extends Topic {
  readonly leaders: readonly number[]
  readonly brokers: ReadonlyMap<number, { readonly host: string, readonly port: number }>
  /** when the cluster reported it, on the monotonic clock */
  readonly seenMs: number
}

/** The awaited condition does not hold yet. */
export class NotYet extends Error {}

/** the newest version that we encode ourselves came with Kafka 3.5, in 2023 */
export const FETCH_VERSION = 15

const CONNECT_TIMEOUT_MS = 3_000
const REQUEST_TIMEOUT_MS = 15_000
/** the library's words for a connection that was accepted and then closed */
const HUNG_UP = /Connection closed|socket disconnected/
const RETRY_DELAY_MIN_MS = 50
const RETRY_DELAY_MAX_MS = 1_000

/** Error codes that we decide on (https://kafka.apache.org/protocol#protocol_error_codes). */
export const kafkaErrors = {
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  MESSAGE_TOO_LARGE: 10,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  UNKNOWN_MEMBER_ID: 25,
  INVALID_SESSION_TIMEOUT: 26,
  REBALANCE_IN_PROGRESS: 27,
  TOPIC_AUTHORIZATION_FAILED: 29,
  UNSUPPORTED_VERSION: 35,
  TOPIC_ALREADY_EXISTS: 36,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  DUPLICATE_SEQUENCE_NUMBER: 46,
  INVALID_PRODUCER_EPOCH: 47,
  UNKNOWN_PRODUCER_ID: 59,
  GROUP_ID_NOT_FOUND: 69,
  MEMBER_ID_REQUIRED: 79,
  FENCED_INSTANCE_ID: 82,
  FENCED_MEMBER_EPOCH: 110
} as const

/** Whether a retry of a failed request may succeed: the broker said so, or was unreachable. */
export function isRetriable (error: unknown): boolean {
  if (error instanceof NotYet) return true
  return GenericError.isGenericError(error as Error) && findErrorBy(error as Error, 'canRetry', false) === null
}

/** Whether the broker answered with a code. */
export function hasCode (error: unknown, code: number): boolean {
  return findErrorBy(error as Error, 'apiCode' as 'message', code as unknown as string) !== null
}

/**
 * Whether a coordinator is not available yet, as on a starting cluster or while it moves. It takes a moment and needs
 * no log line.
 */
export function isLoading (error: unknown): boolean {
  return [kafkaErrors.COORDINATOR_LOAD_IN_PROGRESS, kafkaErrors.COORDINATOR_NOT_AVAILABLE, kafkaErrors.NOT_COORDINATOR]
    .some(code => hasCode(error, code))
}

/** The message of the innermost error; the outer ones only name the request. */
export function describeError (error: unknown): string {
  const { errors, cause, message } = error as { errors?: unknown[], cause?: unknown, message?: string }
  const inner = errors?.at(-1) ?? cause
  return inner ? describeError(inner) : message || (error as { code?: string }).code || String(error)
}

export class KafkaClient extends Base {
  readonly servers: string
  /** by TLS, or by a login */
  readonly isSecured: boolean
  #topics = new Map<string, TopicLayout>()
  /** index of the first server to try, so that one that accepts connections without answering is skipped */
  #first = 0

  /** @param requestTimeoutMs longest wait for an answer of a broker */
  constructor ({ bootstrapServers, clientId, tls, sasl }: KafkaSettings, requestTimeoutMs = REQUEST_TIMEOUT_MS) {
    super({
      bootstrapBrokers: [...bootstrapServers],
      clientId,
      connectTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: requestTimeoutMs,
      retries: 0,
      ...(tls ? { tls } : {}),
      ...(sasl ? { sasl: { ...sasl } } : {})
    })
    this.servers = bootstrapServers.join(',')
    this.isSecured = tls !== undefined || sasl !== undefined
  }

  /**
   * A connection to any broker. After each failed request another broker is first, because a hanging broker, or a
   * proxy, still accepts connections.
   */
  anyBroker (): Promise<Connection> {
    return promised(done => this[kGetBootstrapConnection](done))
  }

  broker (address: { host: string, port: number }): Promise<Connection> {
    return promised(done => this[kGetConnection](address, done))
  }

  override [kGetBootstrapConnection] (done: Callback<Connection>, attempt = 0): void {
    super[kGetBootstrapConnection](done, attempt + this.#first)
  }

  /**
   * Checks that a broker answers and accepts our login.
   * @throws RelayError RELAY_EVENT_LOG_REFUSED: it does not, or is not trusted; RELAY_EVENT_LOG_UNSUPPORTED
   */
  async checkConnection (): Promise<void> {
    let broken: unknown // a pending request does not get the reason why its connection ended
    try {
      const connection = await this.anyBroker()
      connection.once('error', error => { broken = error })
      const apis = await this.#elsewhereAfterFailure(() => this.listApis())
      if (!apis.some(it => it.name === 'Fetch' && it.maxVersion >= FETCH_VERSION)) {
        throw new RelayError(
          'RELAY_EVENT_LOG_UNSUPPORTED', `Kafka at ${this.servers} is too old: Relay needs version 3.5 or newer`
        )
      }
      // brokers that require a login answer the request before without one, but not this one
      await this.call('Metadata', connection, [], false, false)
    } catch (error) {
      const refusal = refusalOf(error) ?? refusalOf(broken)
      if (refusal === undefined) throw error
      throw new RelayError(
        'RELAY_EVENT_LOG_REFUSED', `no connection to Kafka at ${this.servers}: ${refusal}`, { cause: error }
      )
    }
  }

  /** Sends one request, in the newest version that both sides know. */
  async call<Response> (name: string, connection: Connection, ...args: unknown[]): Promise<Response> {
    return await this.#elsewhereAfterFailure(async () => {
      const api = await promised<API<unknown[], Response>>(done => this[kGetApi]<unknown[], Response>(name, done))
      return await api.async(connection, ...args)
    })
  }

  async #elsewhereAfterFailure<T> (request: () => Promise<T>): Promise<T> {
    try {
      return await request()
    } catch (error) {
      if (isRetriable(error)) this.#first++
      throw error
    }
  }

  /** The topic as the cluster knows it now; undefined if there is none. */
  async describe (name: string): Promise<TopicLayout | undefined> {
    let answer: metadataV12.MetadataResponse
    try {
      answer = await this.call<typeof answer>('Metadata', await this.anyBroker(), [name], false, false)
    } catch (error) {
      if (hasCode(error, kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION)) {
        this.#topics.delete(name)
        return undefined
      }
      // the answer contains an error for a partition without a leader; the rest is valid
      const { response } = error as { response?: typeof answer }
      if (!response?.topics[0]?.partitions.length) throw error
      answer = response
    }
    const [topic] = answer.topics
    const leaders = new Array<number>(topic.partitions.length).fill(-1)
    for (const { partitionIndex, leaderId } of topic.partitions) leaders[partitionIndex] = leaderId
    const brokers = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]))
    const { topicId } = topic
    const layout = { name, topicId, partitions: leaders.length, leaders, brokers, seenMs: performance.now() }
    this.#topics.set(name, layout)
    return layout
  }

  /** The topic as last seen, if it was; leaders may have moved since. */
  known (name: string): TopicLayout | undefined {
    return this.#topics.get(name)
  }

  /**
   * First and next offset of every partition.
   * @throws RelayError RELAY_TOPIC_MISSING
   */
  async listOffsets (name: string): Promise<PartitionOffsets[]> {
    const [starts, ends] = await this.#listOffsets(name, [ListOffsetTimestamps.EARLIEST, ListOffsetTimestamps.LATEST])
    return starts.map((startOffset, partition) => ({ partition, startOffset, endOffset: ends[partition] }))
  }

  /**
   * By partition, the first offset with a record of that time or later; the next offset if there is none.
   * @throws RelayError RELAY_TOPIC_MISSING
   */
  async listOffsetsAt (name: string, timeMs: number): Promise<bigint[]> {
    const [offsets, ends] = await this.#listOffsets(name, [BigInt(timeMs), ListOffsetTimestamps.LATEST])
    return offsets.map((offset, partition) => offset < 0n ? ends[partition] : offset)
  }

  /** @returns offsets by partition, for each timestamp */
  async #listOffsets (name: string, timestamps: readonly bigint[]): Promise<bigint[][]> {
    const layout = await this.describe(name)
    if (!layout) throw topicMissing(name, this.servers)
    const offsets = timestamps.map(() => layout.leaders.map(() => -1n))
    const byLeader = Map.groupBy(layout.leaders.keys(), partition => layout.leaders[partition])
    await Promise.all([...byLeader].map(async ([leader, partitions]) => {
      const connection = await this.broker(layout.brokers.get(leader)!)
      for (const [index, timestamp] of timestamps.entries()) { // a request may name a partition only once
        const asked = partitions.map(partitionIndex => ({ partitionIndex, currentLeaderEpoch: -1, timestamp }))
        const answer = await this.call<listOffsetsV9.ListOffsetsResponse>(
          'ListOffsets', connection, -1, 0, [{ name, partitions: asked }])
        for (const { partitionIndex, offset } of answer.topics[0].partitions) offsets[index][partitionIndex] = offset
      }
    }))
    return offsets
  }

  /**
   * Retries until success, a permanent error, or the limit.
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE, or a permanent error of `attempt`
   */
  async retry<T> (limitMs: number, attempt: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + limitMs
    for (let delayMs = RETRY_DELAY_MIN_MS; ; delayMs = Math.min(2 * delayMs, RETRY_DELAY_MAX_MS)) {
      try {
        return await attempt()
      } catch (error) {
        if (!isRetriable(error)) throw this.explain(error)
        if (performance.now() + delayMs > deadline) throw this.unreachable(error)
        await delay(delayMs)
      }
    }
  }

  /** The error for a cluster that does not answer. */
  unreachable (cause: unknown): RelayError {
    const reason = describeError(cause)
    // a broker reports neither a required login, nor one without TLS that it does not support
    const hint = HUNG_UP.test(reason)
      ? ' Check whether it requires TLS (KAFKA_TLS) or a login (KAFKA_SASL_MECHANISM).'
      : ''
    return new RelayError('RELAY_EVENT_LOG_UNREACHABLE',
      `Kafka at ${this.servers} does not answer (${reason}); check that it is up, and KAFKA_BOOTSTRAP_SERVERS.${hint}`, { cause })
  }

  /** Converts an error to one of Relay's, if there is one for it. */
  explain (error: unknown): unknown {
    if (!GenericError.isGenericError(error as Error)) return error
    return new RelayError('RELAY_EVENT_LOG_UNREACHABLE',
      `Kafka at ${this.servers} refused a request: ${describeError(error)}`, { cause: error })
  }
}

export function topicMissing (name: string, servers: string): RelayError {
  return new RelayError('RELAY_TOPIC_MISSING',
    `no topic ${name} on Kafka at ${servers}; Relay's programs create it at start`)
}

function promised<T> (start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => start((error, value) => error ? reject(error) : resolve(value!)))
}
