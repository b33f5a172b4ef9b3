import { eventLogConnectionSettings, eventSettings, retentionSettings } from 'relay-common'
import { Type, type Static } from 'typebox'

const MIB = 1024 * 1024

/** How the API takes events. It does where EVENT_LOG or KAFKA_BOOTSTRAP_SERVERS is set. */
export const ingestSettings = {
  ...eventLogConnectionSettings,
  ...eventSettings,
  ...retentionSettings,
  INGEST_BODY_MAX_BYTES: Type.Integer({
    default: 8 * MIB, minimum: 1_024, description: 'largest body of events, also when it is inflated'
  }),
  INGEST_EVENTS_MAX: Type.Integer({ default: 10_000, minimum: 1, description: 'most events in one body' }),
  INGEST_IN_FLIGHT_MAX_BYTES: Type.Integer({
    default: 64 * MIB,
    minimum: 1_024,
    description: 'bytes of events that may wait for the event log; past them clients are told to come back'
  }),
  INGEST_BODY_TIMEOUT_MS: Type.Integer({
    default: 25_000, minimum: 100, description: 'longest wait for all of a body; then the connection is closed'
  }),
  INGEST_BREAKER_MS: Type.Integer({
    default: 2_000,
    minimum: 0,
    description: 'an event log that has taken nothing for so long is sent nothing more until it does: further events are refused at once, with Retry-After; 0: they wait'
  }),
  INGEST_KEYS_KEPT_HOURS: Type.Integer({
    default: 24, minimum: 1, description: 'how long an Idempotency-Key is remembered'
  }),
  MQTT_PORT: Type.Optional(Type.Integer({
    minimum: 1, maximum: 65535, description: 'port on which events are taken by MQTT; none: they are not'
  })),
  MQTT_TLS_CERT_FILE: Type.Optional(Type.String({
    description: 'PEM file of the certificate that MQTT clients know us by; with it TLS alone is spoken'
  })),
  MQTT_TLS_KEY_FILE: Type.Optional(Type.String({ description: 'PEM file of the key of that certificate' })),
  MQTT_TLS_CA_FILE: Type.Optional(Type.String({
    description: 'PEM file of the authority that MQTT clients must have a certificate of, besides their token; none: they need none'
  })),
  MQTT_CONNECTIONS_MAX: Type.Integer({
    default: 10_000, minimum: 1, description: 'most clients by MQTT at once; connections that have not logged in do not count'
  }),
  MQTT_PENDING_MAX: Type.Integer({
    default: 1_000, minimum: 1, description: 'most connections by MQTT that have not logged in; past them the oldest goes'
  }),
  MQTT_PENDING_PER_ADDRESS_MAX: Type.Integer({
    default: 200, minimum: 1, description: 'most of these from one address (IPv6: one /64); past them its oldest goes'
  }),
  MQTT_CONNECT_TIMEOUT_MS: Type.Integer({
    default: 10_000, minimum: 100, description: 'time for a client by MQTT to be logged in, from the accept on, TLS included'
  }),
  MQTT_PACKET_TIMEOUT_MS: Type.Integer({
    default: 30_000, minimum: 100, description: 'time for a packet by MQTT to come whole, from its first byte on, and for answers to be read'
  })
}

export type IngestConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof ingestSettings>>>>
