/** Metrics of MQTT. Each label exists from the start, so that alerts see the first event of its kind. */
import { Counter, Gauge, type Registry } from 'relay-common'

import type { MqttReason } from './mqtt-packets.ts'

/** Reasons to refuse a connection. */
export const refusedConnects = [
  'address-budget', 'too-many-pending', 'timeout', 'malformed', 'version', 'client-id', 'not-authorized', 'unavailable',
  'caller-budget', 'full'
] as const
export type RefusedConnect = typeof refusedConnects[number]

/** Reasons to end a connection. */
export const endedReasons = [
  'malformed', 'protocolError', 'topicNameInvalid', 'topicAliasInvalid', 'packetTooLarge', 'packetTimeout',
  'keepAliveTimeout',
  'takenOver', 'notAuthorized', 'shuttingDown', 'unspecified', 'fault'
] as const
export type EndedReason = typeof endedReasons[number]

/** Messages that Relay ignores. */
export const ignoredReasons = ['other-topic', 'system-topic'] as const
export type IgnoredReason = typeof ignoredReasons[number]

export interface MqttCounts {
  refusedConnect (reason: RefusedConnect): void
  ended (reason: EndedReason): void
  ignored (reason: IgnoredReason): void
}

/** @param connections their number */
export function createMqttCounts (
  metrics: Registry, connections: { readonly open: () => number, readonly pending: () => number }
): MqttCounts {
  const registers = [metrics]
  const counter = (described: { readonly name: string, readonly help: string }, labels: readonly string[]) => {
    const made = new Counter({ ...described, labelNames: ['reason'], registers })
    for (const reason of labels) made.inc({ reason }, 0)
    return (reason: string) => made.inc({ reason })
  }
  const gauge = (described: { readonly name: string, readonly help: string }, read: () => number) =>
    new Gauge({ ...described, registers, collect () { this.set(read()) } })
  gauge({ name: 'relay_api_mqtt_connections', help: 'Connected MQTT clients' }, connections.open)
  gauge({ name: 'relay_api_mqtt_pending_connections', help: 'MQTT connections before login' }, connections.pending)
  return {
    refusedConnect: counter(
      {
        name: 'relay_api_mqtt_refused_connects_total', help: 'MQTT connections that failed to log in, by reason'
      }, refusedConnects),
    ended: counter(
      { name: 'relay_api_mqtt_ended_total', help: 'MQTT connections closed by Relay, by reason' }, endedReasons
    ),
    ignored: counter(
      {
        name: 'relay_api_mqtt_ignored_total', help: 'MQTT messages to topics that are not for events, by reason'
      }, ignoredReasons)
  }
}

/** @returns the label of a protocol reason */
export function endedReasonOf (reason: MqttReason | undefined): EndedReason {
  return endedReasons.find(it => it === reason) ?? 'unspecified'
}
