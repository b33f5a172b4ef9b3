/**
 * Transport of MQTT: TCP, or only TLS if a certificate is configured. With an authority for clients, those without its
 * certificate are refused.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

import { readTls, RelayError, type Logger } from 'relay-common'

import type { IngestConfig } from './config.ts'

export interface Transport {
  readonly server: Server
  readonly isEncrypted: boolean
}

/** Handlers of connections; if one throws, its connection ends. */
export interface Door {
  /** @returns whether a connection may continue, before a byte of it was read */
  admit (raw: Socket): boolean
  /**
   * Accepts a client.
   * @param socket the encrypted connection; for TCP it is `raw`
   */
  take (socket: Socket, raw: Socket): void
}

/** @throws RelayError RELAY_CONFIG_INVALID, also if certificate and key do not match */
export function createTransport (config: IngestConfig, { admit, take }: Door, log: Logger): Transport {
  const { MQTT_TLS_CERT_FILE: cert, MQTT_TLS_KEY_FILE: key, MQTT_TLS_CA_FILE: ca } = config
  /** If the first handler throws, only the connection ends. */
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
  // the deadline of the handshake is that of the login (mqtt-pending.ts)
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

/** Address and port of the client: equal for a TCP connection and the TLS connection on it, which finds it by this. */
function nameOf ({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
