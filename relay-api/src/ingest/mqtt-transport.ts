/**
 * What MQTT comes by: TCP, or TLS where config names a certificate. Then nothing else is spoken on that port; with an
 * authority for clients, those without a certificate of it are not heard at all.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

import { readTls, RelayError, type Logger } from 'relay-common'

import type { IngestConfig } from './config.ts'

export interface Transport {
  readonly server: Server
  readonly isEncrypted: boolean
}

/** Who is heard; what throws there ends the connection that it was about. */
export interface Door {
  /** @returns whether a connection may go on, before a byte of it was read */
  admit (raw: Socket): boolean
  /**
   * Takes a client that can be heard.
   * @param socket what is spoken on; of TCP it is `raw`
   */
  take (socket: Socket, raw: Socket): void
}

/**
 * @throws RelayError RELAY_CONFIG_INVALID, also for a certificate and a key that are not of each other
 */
export function createTransport (config: IngestConfig, { admit, take }: Door, log: Logger): Transport {
  const { MQTT_TLS_CERT_FILE: cert, MQTT_TLS_KEY_FILE: key, MQTT_TLS_CA_FILE: ca } = config
  /** A connection whose first handler throws ends, and the process goes on. */
  const guarded = (raw: Socket, work: () => void) => {
    try {
      work()
    } catch (error) {
      log.error({ err: error }, 'an MQTT connection failed')
      raw.destroy()
    }
  }
  if (cert === undefined && key === undefined && ca === undefined) {
    const server = createServer(raw => {
      raw.on('error', () => {}) // followed by close
      guarded(raw, () => { if (admit(raw)) take(raw, raw) })
    })
    return { server: heardOf(server, log), isEncrypted: false }
  }
  if (cert === undefined || key === undefined) {
    throw new RelayError('RELAY_CONFIG_INVALID', 'MQTT_TLS_CERT_FILE and MQTT_TLS_KEY_FILE must be set together')
  }
  // the deadline of the handshake is that of the login (mqtt-admission.ts)
  const server = createEncrypted({ ...readTls('MQTT_TLS', { ca, cert, key }), requestCert: ca !== undefined })
  const raws = new Map<string, Socket>()
  server.on('connection', (raw: Socket) => {
    raw.on('error', () => {})
    guarded(raw, () => {
      if (!admit(raw)) return
      const name = nameOf(raw)
      raws.set(name, raw)
      raw.once('close', () => { if (raws.get(name) === raw) raws.delete(name) })
    })
  })
  server.on('secureConnection', socket => {
    socket.on('error', () => {})
    const raw = raws.get(nameOf(socket))
    guarded(raw ?? socket, () => raw && !raw.destroyed ? take(socket, raw) : socket.destroy())
  })
  server.on('tlsClientError', (error, socket) => {
    log.debug({ err: error, address: socket.remoteAddress }, 'the TLS handshake of an MQTT client failed')
    socket.destroy()
  })
  return { server: heardOf(server, log), isEncrypted: true }
}

/** Without a listener an error of the server, such as too many open files, would end the process. */
function heardOf<S extends Server> (server: S, log: Logger): S {
  return server.on('error', error => {
    if (server.listening) log.error({ err: error }, 'could not accept an MQTT connection')
  })
}

function createEncrypted (options: Parameters<typeof createTlsServer>[0]) {
  try {
    return createTlsServer(options)
  } catch (cause) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `could not use MQTT_TLS_CERT_FILE and MQTT_TLS_KEY_FILE: ${(cause as Error).message}`, { cause })
  }
}

/** The same of a connection and of what is encrypted on it. */
function nameOf ({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
