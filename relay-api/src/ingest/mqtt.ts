/** Ingest over MQTT: listens, tracks connections, and checks periodically whether their clients may stay. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

import pLimit from 'p-limit'
import { RelayError, type Logger, type Registry } from 'relay-common'

import type { LogIn } from '../auth/authenticate.ts'
import type { Budgets, Held } from '../budgets/budgets.ts'
import { openSparingLog } from '../sparing-log.ts'
import type { IngestConfig } from './config.ts'
import type { Ingest } from './ingest.ts'
import { PendingConnections } from './mqtt-pending.ts'
import type { Traces } from '../tracing.ts'
import { MqttConnection } from './mqtt-connection.ts'
import { createMqttCounts } from './mqtt-counts.ts'
import { createTransport } from './mqtt-transport.ts'

export interface MqttServer {
  /** @throws RelayError RELAY_PORT_IN_USE */
  listen (): Promise<void>
  /** Ends all clients: they resend unacknowledged messages. */
  close (): Promise<void>
}

export interface MqttServerParts {
  readonly ingest: Ingest
  readonly logIn: LogIn
  readonly budgets: Budgets
  /** undefined: tracing is off */
  readonly traces: Traces | undefined
  readonly metrics: Registry
  readonly log: Logger
}

/** Together with the cache of keys in `auth`, a client ends within 5 s of the revocation of its token. */
const PERMISSION_INTERVAL_MS = 1_500
/** Parallel checks: a key is a look-up in the database, which requests need too. */
const PERMISSIONS_AT_ONCE = 4
/** Precision of deadlines. */
const CHECK_INTERVAL_MS = 250

/** @throws RelayError RELAY_CONFIG_INVALID */
export function createMqttServer (
  config: IngestConfig & { readonly HOST: string }, { ingest, logIn, budgets, traces, metrics, log }: MqttServerParts
): MqttServer {
  /** with the place that its caller holds, once it is open */
  const connections = new Map<MqttConnection, Held | undefined>()
  /** by client, its current connection */
  const current = new Map<string, MqttConnection>()
  let open = 0
  const notes = openSparingLog(log)
  const counts = createMqttCounts(metrics, { open: () => open, pending: () => pending.size })
  const pending = new PendingConnections({
    connectTimeoutMs: config.MQTT_CONNECT_TIMEOUT_MS,
    pendingMax: config.MQTT_PENDING_MAX,
    pendingPerAddressMax: config.MQTT_PENDING_PER_ADDRESS_MAX
  }, budgets, counts.refusedConnect)

  const release = (connection: MqttConnection) => {
    const held = connections.get(connection)
    if (held) {
      held[Symbol.dispose]()
      connections.set(connection, undefined)
      open--
    }
    if (current.get(connection.client) === connection) current.delete(connection.client)
  }
  const opened = (connection: MqttConnection) => {
    const before = current.get(connection.client)
    if (before) {
      before.close('takenOver')
      release(before)
    }
    if (open >= config.MQTT_CONNECTIONS_MAX) return 'full'
    try {
      connections.set(connection, budgets.hold('mqttConnections', connection.principalId!))
    } catch (error) {
      if ((error as RelayError).code !== 'RELAY_BUDGET_EXCEEDED') throw error
      return 'caller-budget'
    }
    open++
    current.set(connection.client, connection)
    return undefined
  }
  const { server, isEncrypted } = createTransport(config, {
    admit: raw => pending.admit(raw),
    take (socket, raw) {
      const connection = new MqttConnection(socket, {
        ingest,
        logIn,
        budgets,
        traces,
        counts,
        topic: config.EVENTS_TOPIC,
        packetTimeoutMs: config.MQTT_PACKET_TIMEOUT_MS,
        opened (it) {
          const noPlace = opened(it)
          if (!noPlace) pending.known(raw)
          return noPlace
        },
        closed (it) {
          release(it)
          connections.delete(it)
        },
        note: ({ address, principalId }, what, details) =>
          notes.warn({ kind: `${what} ${String(details.reason)}`, address }, {
            address, principal: principalId, ...details
          }, what)
      })
      connections.set(connection, undefined)
    }
  }, log)
  server.maxConnections = config.MQTT_CONNECTIONS_MAX + 2 * config.MQTT_PENDING_MAX // plus those that are about to end

  const oneOfFew = pLimit(PERMISSIONS_AT_ONCE)
  const closing = new AbortController()
  const watchPermissions = async () => {
    while (!closing.signal.aborted) {
      await Promise.all([...connections.keys()].map(it => oneOfFew(() => it.askPermission())))
      await delay(PERMISSION_INTERVAL_MS, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  const check = () => {
    const nowMs = performance.now()
    pending.check(nowMs)
    for (const connection of connections.keys()) connection.check(nowMs)
  }
  let timer: NodeJS.Timeout | undefined

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
      watchPermissions().catch(error => log.error({ err: error }, 'the periodic token checks of MQTT clients stopped'))
      timer = setInterval(check, CHECK_INTERVAL_MS)
      log.info({ port, isEncrypted }, 'MQTT started')
    },
    async close () {
      notes.close()
      if (!server.listening) return
      const closed = once(server, 'close')
      closing.abort()
      server.close()
      for (const it of connections.keys()) it.close('shuttingDown')
      pending.destroyAll()
      await closed // `check` ends those that do not close
      clearInterval(timer)
    }
  }
}
