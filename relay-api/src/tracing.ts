/**
 * Traces of requests and MQTT messages. One is traced if its client asks for that, or if it has events of a sampled
 * device:
 *
 *     traceparent with the sampled flag, within the caller's budget ──▶ traced, with its first events
 *     events of sampled devices ──▶ traced, with these events
 *
 * So the span of a request may begin late; it starts at the arrival of the request all the same.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import {
  formatTraceparent, parseTraceparent, TRACEPARENT, type Attributes, type ProducedRecord,
  type ReceivedContext, type Span, type Tracer
} from 'relay-common'

import type { Budgets } from './budgets/budgets.ts'
import { noteTrace } from './trace-in-logs.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** null: tracing is off, or its caller is not known yet */
    trace: Trace | null
  }
}

/** Most events of one request that carry a `traceparent` because its client asks: a flush links as many. */
const EVENTS_OF_CLIENT_MAX = 32

/** Opens traces for known callers. */
export interface Traces {
  /**
   * @param traceparent as received
   * @param startMs arrival, ms since the epoch
   */
  open (name: string, caller: string, traceparent: unknown, startMs: number): Trace
}

export function createTraces (tracer: Tracer, budgets: Budgets): Traces {
  return {
    open (name, caller, traceparent, startMs) {
      const received = parseTraceparent(traceparent)
      const trace = new Trace(tracer, name, received, startMs)
      if (received?.isSampled && mayTrace(budgets, caller)) trace.ask()
      return trace
    }
  }
}

function mayTrace (budgets: Budgets, caller: string): boolean {
  return budgets.spendUpTo('tracedRequests', caller, 1) === 1
}

/** The trace of one request or message, which has a span only if it is sampled. */
export class Trace {
  readonly #tracer: Tracer
  readonly #name: string
  readonly #parent: ReceivedContext | undefined
  readonly #startMs: number
  #isAsked = false
  #span: Span | undefined

  constructor (tracer: Tracer, name: string, parent: ReceivedContext | undefined, startMs: number) {
    this.#tracer = tracer
    this.#name = name
    this.#parent = parent
    this.#startMs = startMs
  }

  get span (): Span | undefined { return this.#span }

  /** Its client asks for a trace. */
  ask (): void {
    this.#isAsked = true
    this.begin()
  }

  begin (): Span {
    return (this.#span ??= this.#tracer.start(
      this.#name, { kind: 'server', parent: this.#parent, startMs: this.#startMs }
    ))
  }

  end (attributes: Attributes, error?: unknown): void {
    this.#span?.set(attributes)
    this.#span?.end(error)
  }

  /**
   * Starts the span of sending records, if any is sampled.
   * @returns the records, the sampled ones with a `traceparent`
   */
  send (
    records: readonly ProducedRecord[], topic: string
  ): { readonly records: readonly ProducedRecord[], readonly span: Span | undefined } {
    let fromClient = this.#isAsked ? EVENTS_OF_CLIENT_MAX : 0
    const { sampling } = this.#tracer
    const isSampled = records.map(it => fromClient-- > 0 || (it.key !== null && sampling.isSampled(it.key)))
    const count = isSampled.filter(it => it).length
    if (count === 0) return { records, span: undefined }
    const span = this.begin().child(`send ${topic}`, {
      kind: 'producer',
      attributes: {
        'messaging.operation.type': 'send',
        'messaging.destination.name': topic,
        'messaging.batch.message_count': records.length,
        'relay.traced_events': count
      }
    })
    const headers = { [TRACEPARENT]: formatTraceparent(span) }
    const marked = records.map((it, n) => isSampled[n] ? { ...it, headers: { ...it.headers, ...headers } } : it)
    return { records: marked, span }
  }
}

/** Adds traces to all requests after authentication. */
export function traceRequests (app: FastifyInstance, traces: Traces | undefined): void {
  app.decorateRequest('trace', null)
  if (!traces) return
  app.addHook('onRequest', (request, _reply, done) => {
    const { method, route: { url = 'unknown' }, principal, headers } = request
    request.trace = traces.open(`${method} ${url}`, principal.id, headers[TRACEPARENT], Date.now())
    noteTrace(request.raw, request.trace)
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { statusCode } = reply
    const error = statusCode >= 500 ? new Error(`status ${statusCode}`) : undefined
    request.trace?.end(attributesOf(request, statusCode), error)
    done()
  })
}

function attributesOf ({ method, route, principal, id }: FastifyRequest, status: number): Attributes {
  return {
    'http.request.method': method,
    'http.route': route.url ?? 'unknown',
    'http.response.status_code': status,
    'relay.principal': principal.id,
    'relay.request_id': id
  }
}
