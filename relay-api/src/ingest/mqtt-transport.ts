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
  /** Ends connections that are no clients yet, as they have not agreed on a key. */
  dropStrangers (): void
}

/** A client that takes longer for it is holding a connection. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/**
 * @param take called for each client, once it can be heard
 * @throws RelayError RELAY_CONFIG_INVALID, also for a certificate and a key that are not of each other
 */
export function createTransport (config: IngestConfig, take: (socket: Socket) => void, log: Logger): Transport {
  const { MQTT_TLS_CERT_FILE: cert, MQTT_TLS_KEY_FILE: key, MQTT_TLS_CA_FILE: ca } = config
  if (cert === undefined && key === undefined && ca === undefined) {
    return { server: createServer(take), isEncrypted: false, dropStrangers: () => {} }
  }
  if (cert === undefined || key === undefined) {
    throw new RelayError('RELAY_CONFIG_INVALID', 'MQTT_TLS_CERT_FILE and MQTT_TLS_KEY_FILE go together: one of them is not set')
  }
  const server = createEncrypted({
    ...readTls('MQTT_TLS', { ca, cert, key }), requestCert: ca !== undefined, handshakeTimeout: HANDSHAKE_TIMEOUT_MS
  })
  const strangers = new Map<string, Socket>()
  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket)
    strangers.set(name, socket)
    socket.once('close', () => strangers.delete(name))
  })
  server.on('secureConnection', socket => {
    strangers.delete(nameOf(socket))
    take(socket)
  })
  server.on('tlsClientError', (error, socket) => {
    log.debug({ err: error, address: socket.remoteAddress }, 'a client by MQTT that does not speak TLS as we do')
  })
  return {
    server,
    isEncrypted: true,
    dropStrangers: () => { for (const socket of strangers.values()) socket.destroy() }
  }
}

function createEncrypted (options: Parameters<typeof createTlsServer>[0]) {
  try {
    return createTlsServer(options)
  } catch (cause) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `MQTT_TLS_CERT_FILE and MQTT_TLS_KEY_FILE can't be used: ${(cause as Error).message}`, { cause })
  }
}

/** The same of a connection and of what is encrypted on it. */
function nameOf ({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
