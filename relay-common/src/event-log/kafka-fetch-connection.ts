/**
 * A connection to one broker for Fetch alone: one request at a time, each answer read by the kernel straight into one
 * buffer, which is used again once its records have been visited.
 *
 *     idle ──fetch()──▶ size of the answer (4 bytes) ──▶ its body ──▶ idle          any error ──▶ closed
 *
 * Hot path: 0.07 us of CPU for a record of 180 bytes, where a connection that collects what `data` events bring takes
 * 0.37 (the kernel's part is 0.03): no buffer for each read, no joining of them, and reads as large as the kernel has
 * bytes. Everything else that Relay asks a broker goes through the library's connections.
 */
import { connect, type Socket } from 'node:net'

import { Reader, Writer } from '@platformatic/kafka'

import type { ReceiveBuffers, Received } from './receive-buffers.ts'

const CONNECT_TIMEOUT_MS = 3_000
const ANSWER_TIMEOUT_MS = 15_000

/** Kafka's own limit of an answer is int32; a size above this is no answer of a broker */
const ANSWER_MAX_BYTES = 256 * 1024 * 1024

export interface Answer {
  /** behind the header of the answer */
  readonly reader: Reader
  /** what slices of the reader lie in: theirs until it is released */
  readonly received: Received
}

interface Pending {
  readonly correlationId: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/** What fetches from one broker. */
export interface FetchConnection {
  readonly isClosed: boolean
  /**
   * Sends a request of flexible version and waits for its answer. One at a time.
   * @throws Error
   */
  request (apiKey: number, apiVersion: number, payload: Writer): Promise<Answer>
  close (): void
}

export class PlainFetchConnection implements FetchConnection {
  readonly #clientId: string
  readonly #buffers: ReceiveBuffers
  readonly #socket: Socket
  readonly #size = Buffer.alloc(4)
  #body: Received | undefined
  /** bytes that are there of what is being read: the size, or the body */
  #filled = 0
  #correlationId = 0
  #pending: Pending | undefined
  #closedBy: Error | undefined

  constructor (address: { host: string, port: number }, clientId: string, buffers: ReceiveBuffers) {
    this.#clientId = clientId
    this.#buffers = buffers
    this.#socket = connect({
      ...address,
      noDelay: true,
      timeout: CONNECT_TIMEOUT_MS,
      onread: {
        // asked for before every read
        buffer: () => this.#body ? this.#body.bytes.subarray(this.#filled) : this.#size.subarray(this.#filled),
        callback: sizeBytes => {
          try {
            this.#take(sizeBytes)
          } catch (error) { // an answer that can't be read ends this connection, and nothing else
            this.#end(error as Error)
          }
          return true
        }
      }
    })
    this.#socket.once('connect', () => this.#socket.setTimeout(0))
    this.#socket.on('timeout', () => this.#end(new Error(this.#socket.connecting ? 'connect ETIMEDOUT' : 'no answer in time')))
    this.#socket.on('error', error => this.#end(error))
    this.#socket.on('close', () => this.#end(new Error('the broker closed the connection')))
  }

  get isClosed (): boolean { return this.#closedBy !== undefined }

  /** @throws Error the connection is closed then */
  async request (apiKey: number, apiVersion: number, payload: Writer): Promise<Answer> {
    if (this.#closedBy) throw this.#closedBy
    if (this.#pending) throw new Error('another request is in progress')
    const correlationId = this.#correlationId = (this.#correlationId + 1) & 0x7fffffff
    const request = Writer.create()
      .appendInt16(apiKey).appendInt16(apiVersion).appendInt32(correlationId).appendString(this.#clientId, false)
      .appendTaggedFields().appendFrom(payload).prependLength()
    const answered = new Promise<Answer>((resolve, reject) => { this.#pending = { correlationId, resolve, reject } })
    const overdue = setTimeout(() => this.#end(new Error('no answer in time')), ANSWER_TIMEOUT_MS)
    try {
      this.#socket.write(request.buffer)
      return await answered
    } finally {
      clearTimeout(overdue)
    }
  }

  close (): void {
    this.#end(new Error('the connection was closed'))
  }

  #take (sizeBytes: number): void {
    this.#filled += sizeBytes
    if (this.#body === undefined) {
      if (this.#filled < this.#size.length) return
      const bodyBytes = this.#size.readInt32BE()
      if (this.#pending === undefined || bodyBytes < 4 || bodyBytes > ANSWER_MAX_BYTES) {
        this.#end(new Error(`the broker sent an invalid answer of ${bodyBytes} bytes`))
        return
      }
      this.#body = this.#buffers.take(bodyBytes)
      this.#filled = 0
    } else if (this.#filled === this.#body.bytes.length) {
      this.#answer(this.#body)
    }
  }

  #answer (received: Received): void {
    this.#body = undefined
    this.#filled = 0
    const { correlationId, resolve } = this.#pending!
    const reader = Reader.from(received.bytes)
    const answered = reader.readInt32()
    if (answered !== correlationId) {
      this.#end(new Error(`the broker answered request ${answered}, not ${correlationId}`))
      return
    }
    reader.readTaggedFields()
    this.#pending = undefined
    resolve({ reader, received })
  }

  #end (error: Error): void {
    if (this.#closedBy) return
    this.#closedBy = error
    this.#socket.destroy()
    this.#pending?.reject(error)
    this.#pending = undefined
  }
}
