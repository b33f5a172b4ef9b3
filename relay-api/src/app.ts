/** The HTTP API: opens the database, composes hooks and routes, listens. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import {
  fastify, LogController, type FastifyBaseLogger, type FastifyError, type FastifyInstance, type FastifyRequest
} from 'fastify'
import {
  Counter, createProcessMetrics, createTracedHistogram, healthRoutes, instanceName, listen, measureDegraded, migrate,
  openDatabase, openTracer, closeKeepAlive, RelayError, reportProgram, splitList, startMetricsServer, writeOpenMetrics,
  type Database, type Logger, type Readiness, type Registry, type Running, type SessionUse
} from 'relay-common'
import { eventLogKind } from 'relay-event-log'

import { keepAnswers } from './sharing/answers-in-progress.ts'
import { guard } from './auth/access.ts'
import { createBudgets } from './budgets/budgets.ts'
import { deviceTypesOf, metricsPortOf, type ApiConfig } from './config.ts'
import { isIngestOn, openIngest, type Ingest } from './ingest/ingest.ts'
import { createMqttServer, type MqttServerParts } from './ingest/mqtt.ts'
import { measureGaps } from './gaps.ts'
import { guardDatabase } from './guarded-database.ts'
import { boundClients, harden, knowClient, serverLimits } from './hardening.ts'
import { watchHistory } from './database-history.ts'
import { openCompleteness } from './completeness.ts'
import { measureLag, openLag } from './lag.ts'
import { openLogEnds } from './log-ends.ts'
import { sendClientProblem, sendProblem } from './problem.ts'
import { checkEncoding, ignoreMediaTypeParameters, keepBadEncoding } from './negotiation.ts'
import { createLazySchemas, type LazySchemas } from './lazy-schemas.ts'
import { openApiRoutes } from './openapi.ts'
import { checkBodies } from './parameters/strict-json.ts'
import { keepPastAnswers } from './past-answers.ts'
import { answerInOrder } from './pipelining.ts'
import { createAttainedService, watchLoop } from './sharing/heavy-callers.ts'
import { createComputeTurns } from './sharing/compute-turns.ts'
import { openReads } from './replica.ts'
import { withoutCredentials } from './redaction.ts'
import { openRequestLog } from './request-log.ts'
import { eventsRoutes } from './routes/events.ts'
import { knowAllMethods, refuseOtherMethods } from './routes/other-methods.ts'
import { v1Routes } from './routes/v1/resources.ts'
import { Hub, type HubDatabases } from './stream/hub.ts'
import { traceIdOf } from './trace-in-logs.ts'
import { createTraces, traceRequests } from './tracing.ts'
import { addCorsAndCompression } from './cors-compression.ts'
import { createWarmUp, type WarmUp } from './warm-up.ts'

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Registry
    /** From now on it is not ready, and ends each connection with its next answer. */
    drain: () => void
    /** Before it listens: see `warm-up.ts`. @param limitMs longest time */
    warmUp: (limitMs: number) => Promise<void>
    /** Compiles the schemas of all routes, which else happens at their first use. */
    compileSchemas: () => void
  }
  interface FastifyRequest {
    /** its `routeOptions`, which fastify creates again on each access */
    route: FastifyRequest['routeOptions']
  }
}

export interface Api extends Running {
  /** port of the API */
  readonly port: number
  /** port of /metrics */
  readonly metricsPort: number
}

/**
 * Starts the API. While draining it answers for `SHUTDOWN_DRAIN_MS` but is not ready, so load balancers send nothing
 * more, and clients reconnect elsewhere. Closing finishes requests in progress, accepts no more, and then closes the
 * database.
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_MIGRATION_FAILED, RELAY_PORT_IN_USE
 */
export async function startApi (config: ApiConfig, log: Logger): Promise<Api> {
  await using started = new AsyncDisposableStack()
  await bringUpToDate(config, log)
  const registry = createProcessMetrics('relay-api')
  const measured = { metrics: registry, server: 'database' }
  const opened = await openDatabase(
    config, 'relay-api', log, { plans: 'by-key', measured, sessions: sessionUse(config) }
  )
  const guarded = guardDatabase(opened, { server: 'database', config, metrics: registry, log })
  const database = started.adopt(guarded, it => it.close())
  const listens = listenConfig(config)
  const listenDatabase = listens
    ? started.adopt(await openDatabase(listens, 'relay-api', log), it => it.close())
    : database
  const app = await createApp(config, database, log, registry, listenDatabase)
  started.adopt(reportProgram(database, 'relay-api', instanceName(), async () => ({}), log), it => it.close())
  const metrics = started.adopt(
    await startMetricsServer(config.HOST, metricsPortOf(config), {
      contentType: registry.contentType,
      metrics: () => registry.metrics(),
      ...config.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined ? { openMetrics: () => writeOpenMetrics(registry) } : {}
    }), it => it.close()
  )
  await app.warmUp(config.WARM_UP_MS)
  const listening = started.adopt(await listen(app, config.HOST, config.API_PORT, 'API_PORT'), it => it.close())

  const running = started.move()
  let closed: Promise<void> | undefined
  return {
    port: listening.port,
    metricsPort: metrics.port,
    async drain () {
      app.drain()
      await delay(config.SHUTDOWN_DRAIN_MS)
    },
    close: () => (closed ??= running.disposeAsync())
  }
}

/** A log in PostgreSQL needs prepared statements, which live in sessions. */
function sessionUse (config: ApiConfig): SessionUse {
  if (isIngestOn(config) && eventLogKind(config) === 'postgres') return 'own'
  return config.DATABASE_LISTEN_URL === undefined ? 'listens' : 'any'
}

/** Settings of the listening connection of streams, if it differs from the others. */
function listenConfig (config: ApiConfig): ApiConfig | undefined {
  const { DATABASE_LISTEN_URL: url } = config
  return url === undefined ? undefined : { ...config, DATABASE_URL: url, DATABASE_POOL_MAX: 2 }
}

/** On its own connections, because migrations use the default planner settings. */
async function bringUpToDate (config: ApiConfig, log: Logger): Promise<void> {
  const listens = listenConfig(config)
  const database = await openDatabase(
    listens ?? config, 'relay-api', log, { sessions: listens ? 'own' : sessionUse(config) }
  )
  try {
    await migrate(database, log)
  } finally {
    await database.close()
  }
}

/**
 * Composes the app; it does not listen yet.
 * @param listenDatabase the same database with kept sessions, for the connection that listens to commits
 * @throws RelayError RELAY_CONFIG_INVALID
 */
export async function createApp (
  config: ApiConfig, database: Database, log: Logger, metrics = createProcessMetrics('relay-api'),
  listenDatabase = database
): Promise<FastifyInstance> {
  const schemas = createLazySchemas()
  const app = fastify({
    schemaController: schemas,
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }), // /metrics counts them, at a lower cost
    genReqId: () => randomUUID(),
    childLoggerFactory: (logger, bindings, options, request) =>
      openRequestLog(() => logger.child({ ...bindings, ...traceIdOf(request) }, options)),
    ...serverLimits,
    rewriteUrl: keepBadEncoding,
    trustProxy: splitList(config.TRUST_PROXY),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: sendProblem,
    clientErrorHandler: sendClientProblem
  })
  app.decorate('compileSchemas', schemas.compileAll)
  try {
    await compose(app, config, { database, listenDatabase }, schemas, metrics, log)
    return app
  } catch (error) {
    await app.close() // what it has opened so far
    throw error
  }
}

async function compose (
  app: FastifyInstance, config: ApiConfig, databases: HubDatabases, schemas: LazySchemas, metrics: Registry,
  log: Logger
): Promise<void> {
  const { database } = databases
  app.decorate('metrics', metrics)
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler(refuseRoute)
  answerInOrder(app)
  app.decorateRequest('route', null as unknown as FastifyRequest['routeOptions'])
  app.addHook('onRequest', (request, reply, done) => {
    request.route = request.routeOptions
    reply.header('x-request-id', request.id)
    done()
  })
  const warmUp = createWarmUp()
  app.decorate('warmUp', limitMs => warmUp.run(app, database, limitMs, log))
  measureRequests(app, metrics, log, warmUp)
  const parting = closeKeepAlive(app)
  app.decorate('drain', () => parting.begin())

  const budgets = createBudgets(config, metrics)
  const know = knowClient(boundClients(app, config), budgets)
  const tracer = await openTracer(config, 'relay-api', { database, metrics, log })
  const traces = tracer && createTraces(tracer, budgets)
  app.addHook('onClose', () => tracer?.close())
  const ingest = isIngestOn(config) ? openIngest(config, database, budgets, metrics, log) : undefined
  app.addHook('onClose', () => ingest?.close())
  const history = watchHistory(database, metrics, log)
  const service = createAttainedService(undefined, watchLoop())
  const turns = createComputeTurns()
  const reads = openReads(config, database, history, service, turns, metrics, log)
  app.addHook('onClose', () => reads.close())
  const logEnds = openLogEnds(config, database, log)
  app.addHook('onClose', () => logEnds.close())
  const completeness = openCompleteness(logEnds)
  const lag = openLag(logEnds, database)
  if (isIngestOn(config)) measureLag(lag, metrics, log)
  measureGaps(database, metrics, log)
  measureDegraded(metrics, async () => ({
    ...await queryReadiness(database), ...ingest ? await ingestReadiness(ingest) : {}
  }))
  const hub = new Hub(databases, history, config, budgets, metrics, log, tracer)
  app.addHook('preClose', () => hub.close()) // streams never end by themselves, so closing would wait forever

  knowAllMethods(app)
  harden(app, config)
  ignoreMediaTypeParameters(app)
  checkBodies(app, schemas)
  await addCorsAndCompression(app, config)
  await openApiRoutes(app, config)
  const queries = async () => reads.hasReplica() ? {} : await queryReadiness(database)
  await app.register(async probes => refuseOtherMethods(probes, () => healthRoutes(probes, {
    readiness: queries,
    functions: { query: queries, ingest: () => ingestReadiness(ingest) },
    isDraining: () => parting.hasBegun
  }, () => {})))
  await app.register(async api => {
    const logIn = await guard(api, config, database, log, know, [warmUp.identifier])
    traceRequests(api, traces)
    keepAnswers(api, config, budgets, service, turns, metrics)
    const past = keepPastAnswers(api, config.PAST_ANSWERS_MB * 2 ** 20, metrics)
    api.setErrorHandler<FastifyError>((error, request, reply) => {
      if (!past.answer(error, request, reply)) sendProblem(error, request, reply)
    })
    takeMqtt(api, config, ingest, { logIn, budgets, traces, metrics, log })
    checkEncoding(api)
    api.setNotFoundHandler(refuseRoute) // after the guard as well
    const deviceTypes = deviceTypesOf(config)
    eventsRoutes(api, { reads, deviceTypes, rangeMaxDays: config.RANGE_MAX_DAYS })
    const parts = { config, database, reads, completeness, logEnds, lag, deviceTypes, ingest, hub, budgets, log }
    await api.register(async v1 => v1Routes(v1, parts), { prefix: '/v1' })
  }, { prefix: '/api' })
}

/** Also listens to MQTT once the app is ready, if configured. @throws RelayError RELAY_CONFIG_INVALID */
function takeMqtt (
  app: FastifyInstance, config: ApiConfig, ingest: Ingest | undefined, parts: Omit<MqttServerParts, 'ingest'>
): void {
  if (config.MQTT_PORT === undefined) return
  if (!ingest) throw new RelayError('RELAY_CONFIG_INVALID', 'MQTT_PORT needs an event log: set EVENT_LOG')
  const mqtt = createMqttServer(config, { ingest, ...parts })
  app.addHook('onReady', () => mqtt.listen())
  app.addHook('preClose', () => mqtt.close())
}

/** Longer than any header that Node accepts: routes report names that are too long, because they know which one. */
const MAX_PARAM_LENGTH = 64 * 1024

function refuseRoute (): never {
  throw new RelayError('RELAY_ROUTE_UNKNOWN', 'no route has this path')
}

/** From a cached row to a decade of a large site, in s. */
const DURATION_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Others are refused everywhere: a label for each of HTTP's 30 would fill the memory. */
const MEASURED_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Purpose of a request, as in `/readyz?for=`, and how it ended: a refused one is up to its client. */
const requestKinds = ['query', 'ingest'] as const
const requestOutcomes = ['answered', 'refused', 'failed'] as const

const INGEST_ROUTE = '/api/v1/events'

function kindOf (method: string, route: string): typeof requestKinds[number] | undefined {
  if (!route.startsWith('/api/')) return undefined
  return method === 'POST' && route === INGEST_ROUTE ? 'ingest' : 'query'
}

function outcomeOf (status: number): typeof requestOutcomes[number] {
  return status >= 500 ? 'failed' : status >= 400 ? 'refused' : 'answered'
}

function measureRequests (app: FastifyInstance, metrics: Registry, log: Logger, warmUp: WarmUp): void {
  const requests = new Counter({
    name: 'relay_api_requests_total',
    help: 'Requests by purpose and outcome; failed means a 5xx status',
    labelNames: ['kind', 'outcome'],
    registers: [metrics]
  })
  for (const kind of requestKinds) for (const outcome of requestOutcomes) requests.inc({ kind, outcome }, 0)
  const durations = createTracedHistogram(metrics, {
    name: 'relay_api_request_duration_seconds',
    help: 'Time from a request to the end of its response',
    labelNames: ['method', 'route', 'status'],
    buckets: DURATION_BUCKETS_S
  })
  app.addHook('onResponse', (request, reply, done) => {
    done()
    if (warmUp.isOwn(request)) return
    // the route and not the URL: a label for each would fill the memory
    const { config, url: route = 'unknown' } = request.routeOptions
    const kind = kindOf(request.method, route)
    if (kind !== undefined) requests.inc({ kind, outcome: outcomeOf(reply.statusCode) })
    if (config.isEndless && reply.statusCode < 400) return // it would measure how long a client stayed
    const method = MEASURED_METHODS.has(request.method) ? request.method : 'other'
    const labels = { method, route, status: reply.statusCode }
    durations.observe(labels, reply.elapsedTime / 1000, request.trace?.span?.traceId)
    if (!log.isLevelEnabled('debug')) return // building the line costs time
    request.log.debug(
      { ...labels, url: withoutCredentials(request.originalUrl), durationMs: reply.elapsedTime }, 'answered'
    )
  })
}

/** Longest wait of a probe: kubelet gives up after 1 s by default, and a timeout would tell it less. */
const READINESS_TIMEOUT_MS = 900

async function queryReadiness (database: Database): Promise<Readiness> {
  const failed = new Promise<string>(resolve => setTimeout(resolve, READINESS_TIMEOUT_MS, 'does not answer').unref())
  const answered = database.query('select 1').then(() => undefined, () => 'is unreachable')
  return { database: await Promise.race([answered, failed]) }
}

/** Only of the event log: earlier logins are cached for a while, so the database may be away for a moment. */
async function ingestReadiness (ingest: Ingest | undefined): Promise<Readiness> {
  return {
    'event log': ingest
      ? await ingest.outbox.ask(READINESS_TIMEOUT_MS)
      : 'is not configured: EVENT_LOG is not set'
  }
}
