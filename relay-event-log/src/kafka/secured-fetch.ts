import { Reader, type Connection, type Writer } from '@platformatic/kafka'

import type { FetchResponse, FetchConnection } from './fetch-connection.ts'
import type { KafkaClient } from './client.ts'
import type { ReceiveBuffers } from './receive-buffers.ts'

/**
 * Fetch over the library's connections, which support TLS and logins. Bytes of a TLS socket are in Node's buffers
 * already, so our own buffers would only save a copy.
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
    this.#closing.promise.catch(() => {}) // usually nobody waits
  }

  get isClosed (): boolean { return this.#isClosed }

  async request (apiKey: number, apiVersion: number, payload: Writer): Promise<FetchResponse> {
    const connection = await this.#client.broker(this.#address)
    // a connection closed by the library never answers pending requests
    const body = await Promise.race([send(connection, apiKey, apiVersion, payload), this.#closing.promise])
    const received = this.#buffers.take(body.length)
    body.copy(received.bytes)
    return { reader: Reader.from(received.bytes), received }
  }

  /** The connection belongs to the client, and is closed with it. */
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
