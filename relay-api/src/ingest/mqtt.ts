/** Takes events by MQTT: listens, knows the connections, and asks from time to time whether their clients may stay. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

import pLimit from 'p-limit'
import { Gauge, RelayError, type Logger, type Registry } from 'relay-common'

import type { LogIn } from '../auth/authenticate.ts'
import type { IngestConfig } from './config.ts'
import type { Ingest } from './ingest.ts'
import { MqttConnection } from './mqtt-connection.ts'
import { createTransport } from './mqtt-transport.ts'

export interface MqttServer {
  /** @throws RelayError RELAY_PORT_IN_USE */
  listen (): Promise<void>
  /** Lets go of all clients: what they have not heard of they send again. */
  close (): Promise<void>
}

/** With what is kept of a key in `auth`, a client is gone 5 s after its token was revoked. */
const PERMISSION_INTERVAL_MS = 1_500
/** So many questions at once: a key is a look-up in the database, and requests want theirs too. */
const PERMISSIONS_AT_ONCE = 4

/** @throws RelayError RELAY_CONFIG_INVALID */
export function createMqttServer (
  config: IngestConfig & { readonly HOST: string }, ingest: Ingest, logIn: LogIn, metrics: Registry, log: Logger
): MqttServer {
  const connections = new Set<MqttConnection>()
  /** by client, the connection that counts */
  const current = new Map<string, MqttConnection>()
  const opened = (connection: MqttConnection) => {
    current.get(connection.client)?.close('takenOver')
    current.set(connection.client, connection)
  }
  const { server, isEncrypted, dropStrangers } = createTransport(config, socket => {
    const connection = new MqttConnection(socket, { ingest, logIn, topic: config.EVENTS_TOPIC, opened })
    connections.add(connection)
    socket.once('close', () => {
      connections.delete(connection)
      if (current.get(connection.client) === connection) current.delete(connection.client)
    })
  }, log)
  const oneOfFew = pLimit(PERMISSIONS_AT_ONCE)
  const closing = new AbortController()
  const watchPermissions = async () => {
    while (!closing.signal.aborted) {
      await Promise.all([...connections].map(it => oneOfFew(() => it.askPermission())))
      await delay(PERMISSION_INTERVAL_MS, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  server.maxConnections = config.MQTT_CONNECTIONS_MAX
  new Gauge({ // eslint-disable-line no-new
    name: 'relay_api_mqtt_connections',
    help: 'Clients that are connected by MQTT',
    registers: [metrics],
    collect () { this.set(connections.size) }
  })

  return {
    async listen () {
      const { HOST: host, MQTT_PORT: port } = config
      server.listen({ host, port })
      try {
        await once(server, 'listening')
      } catch (cause) {
        if ((cause as { code?: string }).code !== 'EADDRINUSE') throw cause
        throw new RelayError('RELAY_PORT_IN_USE',
          `port ${port} on ${host} is in use; choose another with MQTT_PORT`, { cause })
      }
      watchPermissions()
      log.info({ port, isEncrypted }, 'events are taken by MQTT')
    },
    async close () {
      if (!server.listening) return
      const closed = once(server, 'close')
      closing.abort()
      server.close()
      dropStrangers()
      for (const it of connections) it.close('shuttingDown')
      await closed
    }
  }
}
