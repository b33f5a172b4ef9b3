import { Reader, type Connection, type Writer } from '@platformatic/kafka'

import type { Answer, FetchConnection } from './kafka-fetch-connection.ts'
import type { KafkaClient } from './kafka-client.ts'
import type { ReceiveBuffers } from './receive-buffers.ts'

/**
 * Fetch over the library's connections, which know TLS and how to log in. What comes out of a TLS socket is in buffers
 * of Node's already, so reading into our own would gain nothing but a copy less.
 */
export class SecuredFetchConnection implements FetchConnection {
  readonly #client: KafkaClient
  readonly #address: { readonly host: string, readonly port: number }
  readonly #buffers: ReceiveBuffers
  readonly #closing = Promise.withResolvers<never>()
  #isClosed = false

  constructor (client: KafkaClient, address: { host: string, port: number }, buffers: ReceiveBuffers) {
    this.#client = client
    this.#address = address
    this.#buffers = buffers
    this.#closing.promise.catch(() => {}) // mostly nobody is waiting
  }

  get isClosed (): boolean { return this.#isClosed }

  async request (apiKey: number, apiVersion: number, payload: Writer): Promise<Answer> {
    const connection = await this.#client.broker(this.#address)
    // a connection that the library closes does not answer what was under way
    const body = await Promise.race([send(connection, apiKey, apiVersion, payload), this.#closing.promise])
    const received = this.#buffers.take(body.length)
    body.copy(received.bytes)
    return { reader: Reader.from(received.bytes), received }
  }

  /** The connection itself is the client's, and goes with it. */
  close (): void {
    this.#isClosed = true
    this.#closing.reject(new Error('the connection was closed'))
  }
}

function send (connection: Connection, apiKey: number, apiVersion: number, payload: Writer): Promise<Buffer> {
  const takeBody = (_correlationId: number, _apiKey: number, _apiVersion: number, reader: Reader) =>
    reader.buffer.slice(reader.position, reader.buffer.length)
  return new Promise((resolve, reject) => {
    connection.send(apiKey, apiVersion, () => payload, takeBody, true, true,
      (error: Error | null, body?: Buffer) => error ? reject(error) : resolve(body!))
  })
}
