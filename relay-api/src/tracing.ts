/**
 * Traces of requests and MQTT messages. One is traced if its client asks for that, or if it has events of a sampled
 * device:
 *
 *     traceparent with the sampled flag, within the caller's budget ──▶ traced, with its first events
 *     events of sampled devices ──▶ traced, with these events
 *
 * So the span of a request may begin late; it starts at the arrival of the request all the same.
 */
import type { IncomingMessage } from 'node:http'

import type { FastifyInstance, FastifyRequest } from 'fastify'
import {
  formatTraceparent, parseTraceparent, TRACEPARENT, type Attributes, type ReceivedContext, type Span, type Tracer
} from 'relay-common'
import type { ProducedRecord } from 'relay-event-log'

import type { Budgets } from './budgets/budgets.ts'
import { noteSpan } from './trace-in-logs.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** null: nothing of it is traced so far */
    trace: Trace | null
    /**
     * Its trace, which begins with its first sampled event.
     * @param startMs arrival, ms since the epoch
     * @returns undefined: tracing is off
     */
    openTrace (startMs: number): Trace | undefined
  }
}

/** Most events of one request that carry a `traceparent` because its client asks: a flush links as many. */
const EVENTS_OF_CLIENT_MAX = 32

/** Opens traces for known callers. */
export interface Traces {
  /**
   * @param traceparent as received
   * @param startMs arrival, ms since the epoch
   * @param request its log lines get the ids of the span
   */
  open (name: string, caller: string, traceparent: unknown, startMs: number, request?: IncomingMessage): Trace
}

export function createTraces (tracer: Tracer, budgets: Budgets): Traces {
  return {
    open (name, caller, traceparent, startMs, request) {
      const received = parseTraceparent(traceparent)
      const trace = new Trace(tracer, name, received, startMs, request)
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
  readonly #request: IncomingMessage | undefined
  #isAsked = false
  #span: Span | undefined

  constructor (
    tracer: Tracer, name: string, parent: ReceivedContext | undefined, startMs: number,
    request: IncomingMessage | undefined
  ) {
    this.#tracer = tracer
    this.#name = name
    this.#parent = parent
    this.#startMs = startMs
    this.#request = request
  }

  get span (): Span | undefined { return this.#span }

  /** Its client asks for a trace. */
  ask (): void {
    this.#isAsked = true
    this.begin()
  }

  begin (): Span {
    if (this.#span) return this.#span
    this.#span = this.#tracer.start(this.#name, { kind: 'server', parent: this.#parent, startMs: this.#startMs })
    if (this.#request) noteSpan(this.#request, this.#span)
    return this.#span
  }

  /** @param attributes called if it has a span: most traces have none */
  end (attributes: () => Attributes, error?: unknown): void {
    this.#span?.set(attributes())
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
    const isTraced = ({ key }: ProducedRecord) => fromClient-- > 0 || (key !== null && sampling.isSampled(key))
    const first = records.findIndex(isTraced)
    if (first < 0) return { records, span: undefined }
    const isSampled = records.map((it, n) => n === first || (n > first && isTraced(it)))
    const count = isSampled.filter(it => it).length
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

/**
 * Traces requests after authentication: at once if their client asks for that, else when `openTrace` is called and an
 * event is sampled. Any other request has no trace, and costs the look at one header.
 */
export function traceRequests (app: FastifyInstance, traces: Traces | undefined): void {
  app.decorateRequest('trace', null)
  app.decorateRequest('openTrace', function (this: FastifyRequest, startMs) {
    if (!traces || this.trace) return this.trace ?? undefined
    const { method, route: { url = 'unknown' }, principal, headers, raw } = this
    return (this.trace = traces.open(`${method} ${url}`, principal.id, headers[TRACEPARENT], startMs, raw))
  })
  if (!traces) return
  app.addHook('onRequest', (request, _reply, done) => {
    if (parseTraceparent(request.headers[TRACEPARENT])?.isSampled) request.openTrace(Date.now())
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { trace } = request
    if (trace?.span) {
      const { statusCode } = reply
      const error = statusCode >= 500 ? new Error(`status ${statusCode}`) : undefined
      trace.end(() => attributesOf(request, statusCode), error)
    }
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
