import { eventLogConnectionSettings } from 'relay-event-log'
import { eventSettings, retentionSettings } from 'relay-rollups'
import { Type, type Static } from 'typebox'

const MIB = 1024 * 1024

/** Settings of ingest, which is enabled by EVENT_LOG or KAFKA_BOOTSTRAP_SERVERS. */
export const ingestSettings = {
  ...eventLogConnectionSettings,
  ...eventSettings,
  ...retentionSettings,
  INGEST_BODY_MAX_BYTES: Type.Integer({
    default: 8 * MIB, minimum: 1_024, description: 'largest request body of events, compressed or not'
  }),
  INGEST_EVENTS_MAX: Type.Integer({ default: 10_000, minimum: 1, description: 'most events per request' }),
  INGEST_IN_FLIGHT_MAX_BYTES: Type.Integer({
    default: 64 * MIB,
    minimum: 1_024,
    description: 'most bytes of events waiting for the event log; above it clients get a 503 with Retry-After'
  }),
  INGEST_BODY_TIMEOUT_MS: Type.Integer({
    default: 25_000, minimum: 100, description: 'time limit for receiving a body; after it the connection is closed'
  }),
  INGEST_BREAKER_MS: Type.Integer({
    default: 2_000,
    minimum: 0,
    description: 'open the circuit breaker after the event log accepted nothing for this long. Until it accepts ' +
      'again, events are refused at once with Retry-After; 0: they wait'
  }),
  INGEST_KEYS_KEPT_HOURS: Type.Integer({
    default: 24, minimum: 1, description: 'how long an Idempotency-Key is stored'
  }),
  MQTT_PORT: Type.Optional(Type.Integer({
    minimum: 1, maximum: 65535, description: 'port for events by MQTT; not set: MQTT is off'
  })),
  MQTT_TLS_CERT_FILE: Type.Optional(Type.String({
    description: 'PEM file of the server certificate for MQTT; if set, only TLS is accepted'
  })),
  MQTT_TLS_KEY_FILE: Type.Optional(Type.String({ description: 'PEM file of the key of that certificate' })),
  MQTT_TLS_CA_FILE: Type.Optional(Type.String({
    description: 'PEM file of the CA that must have signed the client certificates of MQTT clients, besides their ' +
      'token; not set: no client certificate required'
  })),
  MQTT_CONNECTIONS_MAX: Type.Integer({
    default: 10_000, minimum: 1, description: 'most MQTT clients at once; connections before login do not count'
  }),
  MQTT_PENDING_MAX: Type.Integer({
    default: 1_000, minimum: 1, description: 'most MQTT connections before login; above it the oldest is closed'
  }),
  MQTT_PENDING_PER_ADDRESS_MAX: Type.Integer({
    default: 200,
    minimum: 1,
    description: 'most MQTT connections before login from one address (IPv6: one /64); above it its oldest is closed'
  }),
  MQTT_CONNECT_TIMEOUT_MS: Type.Integer({
    default: 10_000,
    minimum: 100,
    description: 'time limit for the login of an MQTT client, from the accept on, including TLS'
  }),
  MQTT_PACKET_TIMEOUT_MS: Type.Integer({
    default: 30_000,
    minimum: 100,
    description: 'time limit for receiving a whole MQTT packet, from its first byte ' +
      'on, and for a client to read its answers'
  })
}

export type IngestConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof ingestSettings>>>>
