/**
 * JSON Schema of the chart's values. Settings of the programs come from their declarations; no other name is accepted.
 */
import type { TObject } from 'typebox'

import { apiSettings } from '../../relay-api/src/config.ts'
import { processorSettings } from '../../relay-processor/src/config.ts'

/** Settings that the chart derives from other values, or that the image sets. */
export const chartSettings: ReadonlySet<string> = new Set([
  'HOST', 'API_PORT', 'METRICS_PORT', 'HEALTH_PORT', 'SHUTDOWN_DRAIN_MS', 'SHUTDOWN_TIMEOUT_MS', 'CONSUMER_INSTANCE_ID',
  'PROCESSOR_GENERATION',
  'DATABASE_URL', 'DATABASE_LISTEN_URL', 'DATABASE_REPLICA_URL',
  'POSTGRES_HOST', 'POSTGRES_PORT', 'POSTGRES_DB', 'POSTGRES_USER', 'POSTGRES_PASSWORD',
  'DATABASE_TLS', 'DATABASE_TLS_CA_FILE', 'DATABASE_TLS_CERT_FILE', 'DATABASE_TLS_KEY_FILE',
  'EVENT_LOG', 'KAFKA_BOOTSTRAP_SERVERS',
  'KAFKA_TLS', 'KAFKA_TLS_CA_FILE', 'KAFKA_TLS_CERT_FILE', 'KAFKA_TLS_KEY_FILE',
  'KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD',
  'API_TOKENS', 'ALLOW_WELL_KNOWN_TOKEN', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_HEADERS',
  'MQTT_PORT', 'MQTT_TLS_CERT_FILE', 'MQTT_TLS_KEY_FILE', 'MQTT_TLS_CA_FILE'
])

interface Schema extends Readonly<Record<string, unknown>> {}

const object = (properties: Readonly<Record<string, Schema>>): Schema => ({
  type: 'object', additionalProperties: false, properties
})
const map = (values: Schema): Schema => ({ type: 'object', additionalProperties: values })
const list = (items: Schema): Schema => ({ type: 'array', items })
const oneOf = (...values: string[]): Schema => ({ type: 'string', enum: values })
const integer = (minimum: number, maximum?: number): Schema => ({
  type: 'integer', minimum, ...maximum === undefined ? {} : { maximum }
})
const text: Schema = { type: 'string' }
const flag: Schema = { type: 'boolean' }
const port = integer(1, 65_535)
const texts = map(text)
/** Its content is checked by Kubernetes. */
const free: Schema = { type: 'object' }
const freeList = list(free)

/** The part of a setting that JSON Schema can express. */
interface Setting {
  readonly type: string
  readonly description?: string
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
}

/** The settings that all of these programs have. A value must be valid for each of them. */
function settingsOf (...programs: TObject[]): Schema {
  const [first] = programs
  const names = Object.keys(first.properties).filter(
    name => !chartSettings.has(name) && programs.every(it => name in it.properties)
  )
  return object(Object.fromEntries(names.map(name =>
    [name, settingOf(programs.map(it => it.properties[name] as unknown as Setting))])))
}

function settingOf (declared: readonly Setting[]): Schema {
  const [{ type, description, enum: values, pattern }] = declared
  const limits = (limit: 'minimum' | 'maximum') => declared.flatMap(it => it[limit] ?? [])
  return {
    type,
    description,
    ...values ? { enum: values } : {},
    ...pattern ? { pattern } : {},
    ...limits('minimum').length > 0 ? { minimum: Math.max(...limits('minimum')) } : {},
    ...limits('maximum').length > 0 ? { maximum: Math.min(...limits('maximum')) } : {}
  }
}

const ca = object({ existingSecret: text, key: text })
const login = { user: text, existingSecret: text, passwordKey: text }
const kafkaLogin = object({
  username: text,
  existingSecret: text,
  passwordKey: text,
  clientCertificate: object({ existingSecret: text, certKey: text, keyKey: text })
})
const placement = { nodeSelector: texts, tolerations: freeList }
const workload = {
  replicas: { type: ['integer', 'null'], minimum: 0 },
  resources: free,
  podAnnotations: texts,
  ...placement,
  affinity: free,
  priorityClassName: text
}
const autoscaling = object({
  enabled: flag, minReplicas: integer(1), maxReplicas: integer(1), cpuPercent: integer(1, 100)
})
const digest: Schema = { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' }
const image = object({ repository: { type: 'string', minLength: 1 }, digest })
const generation: Schema = { type: 'string', pattern: '^[a-z0-9][a-z0-9-]{0,30}$' }
const spread = oneOf('ScheduleAnyway', 'DoNotSchedule')
const definitions = {
  settings: settingsOf(apiSettings, processorSettings),
  apiSettings: settingsOf(apiSettings),
  processorSettings: settingsOf(processorSettings)
}
const settings = (name: keyof typeof definitions): Schema => ({ $ref: `#/definitions/${name}` })

export function valuesSchema (): Schema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $comment: 'Written by deploy/kubernetes/main.ts: npm exec -- node deploy/kubernetes/main.ts',
    definitions,
    ...object({
      global: free, // Helm gives it to a chart within another one
      fullnameOverride: text,
      images: object({
        api: image,
        processor: image,
        tag: text,
        pullPolicy: oneOf('Always', 'IfNotPresent', 'Never'),
        pullSecrets: list(text)
      }),
      settings: settings('settings'),
      database: object({
        host: text,
        port,
        name: text,
        tls: object({ enabled: flag, ca }),
        createLogins: flag,
        owner: object(login),
        processor: object(login),
        api: object({ ...login, pooler: object({ host: text, port }), listenUrlKey: text, replicaUrlKey: text })
      }),
      eventLog: oneOf('kafka', 'postgres'),
      kafka: object({
        bootstrapServers: { type: 'string', pattern: '^$|^[^:,]+:[0-9]+(,[^:,]+:[0-9]+)*$' },
        tls: object({ enabled: flag, ca }),
        sasl: object({ mechanism: oneOf('', 'PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512') }),
        processor: kafkaLogin,
        api: kafkaLogin
      }),
      api: object({
        settings: settings('apiSettings'),
        tokens: object({ existingSecret: text, key: text }),
        drainMs: integer(0),
        shutdownTimeoutMs: integer(100),
        mqtt: object({
          enabled: flag,
          port,
          tls: object({ existingSecret: text, certKey: text, keyKey: text, clientCaKey: text }),
          service: object({ type: oneOf('ClusterIP', 'NodePort', 'LoadBalancer'), port, annotations: texts })
        })
      }),
      query: object({ ...workload, settings: settings('apiSettings'), autoscaling }),
      ingest: object({ enabled: flag, ...workload, settings: settings('apiSettings'), autoscaling }),
      processor: object({
        ...workload,
        settings: settings('processorSettings'),
        shutdownTimeoutMs: integer(100),
        generation,
        canary: object({
          enabled: flag, generation, replicas: integer(1), image: object({ tag: text, digest })
        })
      }),
      tracing: object({
        endpoint: { type: 'string', pattern: '^$|^https?://' }, headers: object({ existingSecret: text, key: text })
      }),
      migration: object({ enabled: flag, resources: free, ...placement }),
      probe: object({
        enabled: flag, url: text, token: object({ existingSecret: text, key: text }), resources: free, ...placement
      }),
      topologySpread: object({ zone: spread, node: spread }),
      serviceAccount: object({ annotations: texts }),
      ingress: object({ enabled: flag, className: text, host: text, tlsSecret: text, annotations: texts }),
      networkPolicy: object({
        enabled: flag,
        clients: freeList,
        metrics: freeList,
        dns: freeList,
        database: freeList,
        kafka: freeList,
        identityProvider: freeList,
        collector: freeList
      }),
      monitoring: object({
        serviceMonitor: object({ enabled: flag, interval: text, labels: texts }),
        prometheusRule: object({ enabled: flag, labels: texts }),
        dashboards: object({ enabled: flag, labels: texts, annotations: texts })
      })
    })
  }
}
