/**
 * The login of an MQTT client, by its first packet:
 *
 *     CONNECT ──version, well-formed──▶ its password is a token ──auth/authenticate.ts──▶ known, with `events:write`
 *        └──────────────┴─────────────────────────┴──▶ refused, with a reason that a CONNACK tells
 */
import type { IConnectPacket } from 'mqtt-packet'

import type { LogIn } from '../auth/authenticate.ts'
import type { Principal } from '../auth/principal.ts'
import type { RefusedConnect } from './mqtt-counts.ts'
import { askedVersion, type Decoder } from './mqtt-decode.ts'
import type { Frame } from './mqtt-frames.ts'
import type { MqttReason, MqttVersion } from './mqtt-packets.ts'

export interface RefusedLogin {
  readonly kind: 'refused'
  /** as it is counted */
  readonly counted: RefusedConnect
  readonly version: MqttVersion
  readonly reason: MqttReason
  readonly detail?: string
}

/** A client that is logged in. */
export interface MqttClient {
  readonly kind: 'known'
  readonly version: MqttVersion
  readonly principal: Principal
  /** throws if its token is no longer accepted */
  readonly reauthenticate: () => Promise<void>
  readonly id: string
  /** its id, if it asked us to choose one */
  readonly assignedId: string | undefined
  /** 0: it may be silent forever */
  readonly keepAliveMs: number
  /** longest packet that it accepts */
  readonly packetMaxBytes: number
  readonly wantsReasons: boolean
  readonly will: Will | undefined
}

/** A message that a client leaves with its CONNECT. */
export interface Will {
  readonly topic: string
  readonly payload: Buffer
  /** whether it may be delayed until another connection of the client takes over */
  readonly isDelayed: boolean
}

export type FirstPacket =
  | { readonly kind: 'connect', readonly version: MqttVersion, readonly packet: IConnectPacket }
  | RefusedLogin

/** Reads the first packet of a client. */
export function readConnect (frame: Frame, decoder: Decoder): FirstPacket {
  const version = frame.kind === 'whole' ? askedVersion(frame.bytes) : undefined
  if (frame.kind !== 'whole' || version === undefined) return refused('malformed', 4, 'malformed')
  if (version !== 4 && version !== 5) return refused('version', version > 5 ? 5 : 4, 'versionUnsupported')
  const decoded = decoder.decode(frame.bytes)
  if (decoded.kind === 'violation') return refused('malformed', version, decoded.reason, decoded.detail)
  if (decoded.packet.cmd !== 'connect') return refused('malformed', version, 'protocolError')
  return { kind: 'connect', version, packet: decoded.packet }
}

/** Logs a client in. @param address of the client */
export async function logInClient (
  version: MqttVersion, packet: IConnectPacket, address: string, logIn: LogIn
): Promise<MqttClient | RefusedLogin> {
  const { clientId, password, keepalive = 0, clean, will, properties } = packet
  if (version === 4 && clientId === '' && !clean) return refused('client-id', 4, 'clientIdInvalid')
  const token = password?.toString() ?? ''
  const loggedIn = await logIn(token, address).catch(() => 'unavailable' as const)
  if (loggedIn === 'unavailable') return refused('unavailable', version, 'unavailable')
  if (!loggedIn?.principal.scopes.has('events:write')) return refused('not-authorized', version, 'notAuthorized')
  const id = clientId || crypto.randomUUID()
  return {
    kind: 'known',
    version,
    principal: loggedIn.principal,
    reauthenticate: loggedIn.reauthenticate,
    id,
    assignedId: clientId ? undefined : id,
    keepAliveMs: keepalive * 1000,
    packetMaxBytes: properties?.maximumPacketSize ?? Infinity,
    wantsReasons: properties?.requestProblemInformation !== false,
    will: will && {
      topic: will.topic,
      payload: Buffer.from(will.payload),
      isDelayed: !clean && (will.properties?.willDelayInterval ?? 0) > 0
    }
  }
}

export function refused (
  counted: RefusedConnect, version: MqttVersion, reason: MqttReason, detail?: string
): RefusedLogin {
  return { kind: 'refused', counted, version, reason, detail }
}
