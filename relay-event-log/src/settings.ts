import { Type } from 'typebox'

/** The address of the event log, and the topic of events. */
export const eventLogConnectionSettings = {
  EVENT_LOG: Type.Optional(Type.String({
    enum: ['kafka', 'postgres'],
    description: 'where events are kept; default: kafka when KAFKA_BOOTSTRAP_SERVERS is set, else postgres'
  })),
  KAFKA_BOOTSTRAP_SERVERS: Type.Optional(Type.String({
    description: 'host:port of the Kafka brokers, separated by commas'
  })),
  KAFKA_TLS: Type.Boolean({ default: false, description: 'use TLS to Kafka and verify its certificate' }),
  KAFKA_TLS_CA_FILE: Type.Optional(Type.String({
    description: 'PEM file of the CA of the broker certificates; default: the CAs that Node trusts'
  })),
  KAFKA_TLS_CERT_FILE: Type.Optional(Type.String({ description: 'PEM file of the client certificate for Kafka' })),
  KAFKA_TLS_KEY_FILE: Type.Optional(Type.String({ description: 'PEM file of the key of that certificate' })),
  KAFKA_SASL_MECHANISM: Type.Optional(Type.String({
    enum: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'], description: 'SASL mechanism for Kafka; not set: no login'
  })),
  KAFKA_SASL_USERNAME: Type.String({ default: '', description: 'SASL user for Kafka' }),
  KAFKA_SASL_PASSWORD: Type.String({ default: '', description: 'password of that user' }),
  EVENTS_TOPIC: Type.String({ default: 'iot-events', description: 'topic of the events' }),
  DEAD_LETTERS_TOPIC: Type.String({ default: 'iot-events.dead-letters', description: 'topic of the dead letters' })
}

/** Settings of programs that read the event log in groups, create its topics, or use dead letters. */
export const eventLogSettings = {
  ...eventLogConnectionSettings,
  KAFKA_GROUP_PROTOCOL: Type.String({
    enum: ['auto', 'consumer', 'classic'],
    default: 'auto',
    description: 'consumer group protocol: consumer (KIP-848), classic, or auto (the newest that the brokers support)'
  }),
  EVENTS_PARTITIONS: Type.Integer({
    default: 8, minimum: 1, description: 'partitions of the topic, if Relay creates it'
  }),
  EVENTS_RETENTION_HOURS: Type.Integer({
    default: 168, minimum: 1, description: 'retention of the topic, if Relay creates it'
  }),
  EVENTS_REPLICATION_FACTOR: Type.Integer({
    default: -1,
    minimum: -1,
    description: 'replication factor of the topic, if Relay creates it; -1: the broker\'s default'
  })
}
