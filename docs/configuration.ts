/**
 * Writes `docs/configuration.md` from the declarations of the programs, so that they agree:
 *
 *     npm exec -- node docs/configuration.ts
 */
import { writeFileSync } from 'node:fs'

import { databaseSettings, programSettings, tracingSettings } from 'relay-common'
import { eventLogSettings } from 'relay-event-log'
import { eventSettings, retentionSettings } from 'relay-rollups'
import type { TObject, TSchema } from 'typebox'

import { apiSettings } from '../relay-api/src/config.ts'
import { processorSettings } from '../relay-processor/src/config.ts'
import { simulatorSettings } from '../relay-simulator/src/config.ts'
import { createCommand } from '../relay-stack/src/options.ts'

export const WRITE_COMMAND = 'npm exec -- node docs/configuration.ts'

const programs: Readonly<Record<string, TObject>> = {
  simulator: simulatorSettings, processor: processorSettings, api: apiSettings
}

const shared = [
  { title: 'Every program', settings: programSettings },
  { title: 'PostgreSQL', settings: databaseSettings },
  { title: 'The event log', settings: eventLogSettings },
  { title: 'Events', settings: eventSettings },
  { title: 'Retention', settings: retentionSettings },
  { title: 'Tracing', settings: tracingSettings }
]

/** The whole page, as Markdown. */
export function renderConfiguration (): string {
  const sharedNames = new Set(shared.flatMap(it => Object.keys(it.settings)))
  return [
    introduction,
    ...shared.map(({ title, settings }) => section(title, sharedTable(settings))),
    ...Object.entries(programs).map(([program, schema]) =>
      section(`relay-${program}`, `${about[program]}${programTable(schema, sharedNames)}`)),
    section('npm start', `${aboutStack}\n\n${stackTable()}`),
    section('docker compose', aboutCompose)
  ].join('\n')
}

const introduction = `# Configuration

<!-- Written by docs/configuration.ts from the programs' own declarations; change those, then run
     ${WRITE_COMMAND} -->

A program reads its settings from environment variables at start and checks all of them. If some are invalid, it exits
with one line that names each of them (\`RELAY_CONFIG_INVALID\`). An empty value counts as not set. Names end in their unit: \`_MS\` is
milliseconds. Unknown variables are ignored.
`

const about: Readonly<Record<string, string>> = {
  simulator: 'All except the port are also command line options, which override the variables: `--devices 1000`, ' +
    '`--help`.\n\n',
  processor: '',
  api: ''
}

const aboutStack =
  `The local stack has its own options, each with an environment variable; an option overrides it. The environment is
also passed to the three programs, so \`GAP_POLICY=continue npm start\` works.`

const aboutCompose = `\`compose.yaml\` takes these from the environment or from a file \`.env\` beside it:

| variable | default | meaning |
| --- | --- | --- |
| \`BIND_ADDRESS\` | \`127.0.0.1\` | address of this machine to listen on; \`0.0.0.0\`: all addresses |
| \`API_PORT\` | \`8080\` | port of the API on this machine |
| \`KAFKA_PORT\` | \`9092\` | port of Kafka on this machine |
| \`KAFKA_PORT_2\`, \`KAFKA_PORT_3\` | \`9192\`, \`9292\` | ports of the other two brokers of \`compose.cluster.yaml\` on this machine |
| \`KAFKA_ADVERTISED_HOST\` | \`localhost\` | host name of this machine for clients outside of the containers |
| \`POSTGRES_PORT\` | \`5432\` | port of PostgreSQL on this machine |
| \`POSTGRES_PASSWORD\` | \`relay\` | password of the database owner, who runs migrations; set when the volume is created, not changed later |
| \`ALLOWED_HOSTS\` | \`api\` | as above |
| \`API_TOKENS\` | \`supermetrics-api-token-2024\` | as above |
| \`BACKFILL\` | \`24h\` | as above |
| \`OIDC_ISSUER\` | none | as above; Keycloak of the profile \`keycloak\` is \`http://keycloak.localhost:8083/realms/relay\` |
| \`OIDC_ALLOW_HTTP\` | \`false\` | as above |
| \`OIDC_DASHBOARD_CLIENT\` | none | as above |
| \`OTEL_EXPORTER_OTLP_ENDPOINT\` | none | as above |
| \`TRACE_RATIO\` | none | as above |
| \`SHUTDOWN_DRAIN_MS\` | \`0\` | as above; at most 8 s, unless you raise \`stop_grace_period\` |
| \`IMAGE_TAG\` | \`0.1.0\` | tag of the images that \`docker compose build\` makes and that containers run |
| \`KEYCLOAK_PASSWORD\` | \`admin\` | password of Keycloak's administrator |
| \`GRAFANA_PASSWORD\` | \`admin\` | password of Grafana's administrator (profile \`monitoring\`) |
| \`RELAY_TOKEN\` | \`supermetrics-api-token-2024\` | token of the probe (profile \`monitoring\`) and of \`docker compose run relay\`; one of \`API_TOKENS\`, or an API key for its zone |

\`DEVICES\`, \`ZONES\`, \`RATE\`, \`SEED\`, \`LATE\`, \`DUPLICATES\`, \`POISON\`, \`GAP_POLICY\`, \`PROCESSOR_GENERATION\`,
\`RETENTION_MINUTE_DAYS\`, \`RETENTION_HOUR_DAYS\` and \`RETENTION_DAY_DAYS\` are passed to the programs unchanged. Put any other setting under
\`environment\` of its service in an override file.

\`compose.scaled.yaml\` over \`compose.yaml\` starts three processors, and two APIs behind HAProxy, which then listens on \`API_PORT\`.
\`--scale processor=2 --scale api=4\` starts other numbers. Each takes up to 11 connections to PostgreSQL: for more of them,
raise \`max_connections\` of \`postgres\`. \`compose.cluster.yaml\` adds brokers, a replica and a pooler ([deployment](deployment.md)), and
\`compose.kafka-metrics.yaml\` Kafka's own [metrics](runbook.md#watch-it).
\`docker compose build --build-arg NODE_IMAGE=…\` takes Node from a mirror.`

function section (title: string, body: string): string {
  return `## ${title}\n\n${body}\n`
}

function sharedTable (settings: Readonly<Record<string, TSchema>>): string {
  const rows = Object.entries(settings).map(([name, schema]) => {
    const takers = Object.entries(programs).filter(([, it]) => name in it.properties).map(([program]) => program)
    return [...cellsOf(name, schema), takers.length === Object.keys(programs).length ? 'all' : takers.join(', ')]
  })
  return table(['setting', 'type', 'default', 'meaning', 'programs'], rows)
}

function programTable (schema: TObject, sharedNames: ReadonlySet<string>): string {
  const own = Object.entries(schema.properties).filter(([name]) => !sharedNames.has(name))
  return table(['setting', 'type', 'default', 'meaning'], own.map(([name, it]) => cellsOf(name, it)))
}

function stackTable (): string {
  const rows = createCommand().options.map(({ flags, envVar, defaultValue, defaultValueDescription, description }) =>
    [
      code(flags), envVar === undefined ? '' : code(envVar), defaultValueDescription ?? shown(defaultValue), description
    ])
  return table(['option', 'variable', 'default', 'meaning'], rows)
}

/** The JSON Schema of a setting. */
interface Declared {
  readonly type: string
  readonly default?: unknown
  readonly description?: string
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
}

function cellsOf (name: string, schema: TSchema): string[] {
  const declared = schema as unknown as Declared
  return [code(name), typeOf(declared), shown(declared.default), declared.description ?? '']
}

function typeOf ({ type, enum: values, minimum, maximum }: Declared): string {
  if (values !== undefined) return values.map(code).join(', ')
  if (minimum !== undefined && maximum !== undefined) return `${type}, ${minimum} to ${maximum}`
  if (minimum !== undefined) return `${type}, at least ${minimum}`
  return type
}

function shown (preset: unknown): string {
  if (preset === undefined) return ''
  return preset === '' ? 'empty' : code(String(preset))
}

function code (text: string): string {
  return `\`${text}\``
}

function table (head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const line = (cells: readonly string[]) => `| ${cells.map(it => it.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

if (import.meta.main) {
  writeFileSync(new URL('configuration.md', import.meta.url), renderConfiguration())
}
