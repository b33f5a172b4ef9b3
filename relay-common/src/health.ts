import { lookup } from 'node:dns/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { FastifyInstance, FastifyPluginCallback } from 'fastify'
import { Registry } from 'prom-client'

import { boundConnections, endHard, serverOptions, sharesOfProbes } from './bound-connections.ts'
import { RelayError } from './errors.ts'
import { closeKeepAlive } from './close-keep-alive.ts'

/** What prevents a program from working, by part; `undefined` for a healthy part. */
export type Readiness = Readonly<Record<string, string | undefined>>

export interface HealthSettings {
  /** called by /readyz; must return soon, and never throw */
  readonly readiness: () => Readiness | Promise<Readiness>
  /** the same for one function of the program, by its name in `/readyz?for=`; `any` is ready if one of them is */
  readonly functions?: Readonly<Record<string, () => Readiness | Promise<Readiness>>>
  /** whether the program will stop soon; then it is not ready, whatever `readiness` reports */
  readonly isDraining?: () => boolean
  /** undefined: they are on a port of their own */
  readonly metrics?: Metrics
}

export interface Metrics extends Pick<Registry, 'contentType' | 'metrics'> {
  /** for scrapers that accept OpenMetrics; undefined: they get what all get */
  readonly openMetrics?: () => Promise<string>
}

/** How long an answer is reused: probes come every few seconds, and a flood of them must not reach the database. */
const READINESS_KEPT_MS = 250
/** How long metrics are reused: Prometheus scrapes about every 15 s, and a flood of requests must not cost more. */
const METRICS_KEPT_MS = 1_000

/** Whether at least one function of a program works. */
const ANY = 'any'

/**
 * `/livez`: the process answers. `/readyz`: it can do its work, else 503 with the reason; `/readyz?for=` for one
 * function. `/metrics`, if given: Prometheus text.
 */
export const healthRoutes: FastifyPluginCallback<HealthSettings> = (
  app, { readiness, functions = {}, isDraining, metrics }, done
) => {
  const readinessNow = keepFor(READINESS_KEPT_MS, async () => faultsOf(await readiness()))
  const byName = new Map(Object.entries(functions).map(([name, of]) =>
    [name, keepFor(READINESS_KEPT_MS, async () => faultsOf(await of()))]))
  if (byName.size > 0) {
    const all = [...byName.values()]
    byName.set(ANY, async () => {
      const faults = await Promise.all(all.map(it => it()))
      return faults.some(it => Object.keys(it).length === 0) ? {} : Object.assign({}, ...faults)
    })
  }
  const askFor = ({ for: name }: { readonly for?: unknown }) => {
    if (name === undefined || byName.size === 0) return readinessNow
    const found = typeof name === 'string' ? byName.get(name) : undefined
    if (found) return found
    throw new RelayError(
      'RELAY_PARAMETER_INVALID', `for must be one of ${[...byName.keys()].join(', ')}`, { parameter: 'for' }
    )
  }
  app.get('/livez', { logLevel: 'silent' }, async (_request, reply) =>
    reply.header('cache-control', 'no-store').send({ status: 'live' }))

  app.get<{ Querystring: { for?: unknown } }>('/readyz', { logLevel: 'silent' }, async ({ query }, reply) => {
    const ask = askFor(query)
    const faults = isDraining?.() ? { shutdown: 'under way' } : await ask()
    const isReady = Object.keys(faults).length === 0
    return reply.header('cache-control', 'no-store').code(isReady ? 200 : 503)
      .send(isReady ? { status: 'ready' } : { status: 'not ready', faults })
  })

  if (metrics) metricsRoute(app, metrics)
  done()
}

function faultsOf (parts: Readiness): Readiness {
  return Object.fromEntries(Object.entries(parts).filter(([, fault]) => fault !== undefined))
}

function metricsRoute (app: FastifyInstance, metrics: Metrics): void {
  const metricsNow = keepFor(METRICS_KEPT_MS, () => metrics.metrics())
  const openMetricsNow = metrics.openMetrics && keepFor(METRICS_KEPT_MS, metrics.openMetrics)
  app.get('/metrics', { logLevel: 'silent' }, async ({ headers: { accept = '' } }, reply) => {
    const isOpen = openMetricsNow !== undefined && accept.includes('application/openmetrics-text')
    return reply.type(isOpen ? Registry.OPENMETRICS_CONTENT_TYPE : metrics.contentType)
      .header('cache-control', 'no-store').send(await (isOpen ? openMetricsNow : metricsNow)())
  })
}

/** Caches a result for a time; concurrent callers share one computation. */
function keepFor<T> (keptMs: number, make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    if (made === undefined) {
      made = make()
      const forget = () => { setTimeout(() => { made = undefined }, keptMs).unref() }
      made.then(forget, () => { made = undefined })
    }
    return made
  }
}

export interface Listening {
  readonly port: number
  close (): Promise<void>
}

/** An app that only serves probes and metrics, with bounded connections. */
async function createProbeApp (): Promise<FastifyInstance> {
  const { fastify } = await import('fastify') // commands don't need it, and start in 0.1 s of CPU less
  const { requestTimeout, keepAliveTimeout, ...http } = serverOptions
  const app = fastify({
    requestTimeout, keepAliveTimeout, http, clientErrorHandler: (_error, socket) => endHard(socket)
  })
  boundConnections(app.server as Server, sharesOfProbes)
  closeKeepAlive(app)
  return app
}

/**
 * Serves the health routes of a program without an HTTP API.
 * @throws RelayError RELAY_PORT_IN_USE
 */
export async function startHealthServer (
  { HOST, HEALTH_PORT }: { readonly HOST: string, readonly HEALTH_PORT: number }, settings: HealthSettings
): Promise<Listening> {
  const app = await createProbeApp()
  await app.register(healthRoutes, settings)
  return await listen(app, HOST, HEALTH_PORT, 'HEALTH_PORT')
}

/**
 * Serves `/metrics` on its own port, which clients should not reach.
 * @throws RelayError RELAY_PORT_IN_USE
 */
export async function startMetricsServer (host: string, port: number, metrics: Metrics): Promise<Listening> {
  const app = await createProbeApp()
  metricsRoute(app, metrics)
  return await listen(app, host, port, 'METRICS_PORT')
}

/**
 * Makes an app listen.
 * @param setting names the port in the error, e.g. `API_PORT`
 * @throws RelayError RELAY_PORT_IN_USE
 */
export async function listen (app: FastifyInstance, host: string, port: number, setting: string): Promise<Listening> {
  try {
    // fastify would create a second server for the other address of localhost, without our hooks
    await app.listen({ host: host === 'localhost' ? (await lookup(host)).address : host, port })
  } catch (cause) {
    await app.close()
    if ((cause as { code?: string }).code !== 'EADDRINUSE') throw cause
    throw new RelayError(
      'RELAY_PORT_IN_USE', `port ${port} on ${host} is in use; set another with ${setting}`, { cause }
    )
  }
  return { port: (app.server.address() as AddressInfo).port, close: () => app.close() }
}
