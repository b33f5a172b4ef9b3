/**
 * Spans by the SDK of OpenTelemetry, exported by OTLP over HTTP. Imported only by programs that trace (`open.ts`).
 *
 *     end() ──▶ queue, at most QUEUE_MAX ──a batch at a time──▶ exporter ──▶ collector
 *                 └──full──▶ dropped, counted         └──away, slow──▶ dropped, counted
 *
 * The queue is ours: the SDK's does not say what it drops.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Span as SdkSpan } from '@opentelemetry/api'
import { ExportResultCode } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  AlwaysOnSampler, TracerProvider, type ReadableSpan, type SpanExporter, type SpanProcessor
} from '@opentelemetry/sdk-trace'

import type { Logger } from '../log.ts'
import { version } from '../version.ts'
import { within } from '../within.ts'
import { LINKS_MAX, type Span, type SpanOptions, type TraceContext, type Tracer } from './port.ts'
import type { Sampling } from './sampling.ts'

export interface OtlpSettings {
  /** `http://collector:4318`: spans go to `/v1/traces` below it */
  readonly endpoint: string
  readonly headers: Readonly<Record<string, string>>
  readonly program: string
  readonly instance: string
}

/** Counts spans. */
export interface SpanCounts {
  exported (count: number): void
  dropped (count: number): void
}

const QUEUE_MAX = 4_096
const BATCH_MAX = 512
const EXPORT_INTERVAL_MS = 500
/** of one batch, with its retries */
const EXPORT_TIMEOUT_MS = 10_000
/** A closing program waits no longer for the collector. */
const CLOSE_MAX_MS = 1_000

export function openOtlpTracer (settings: OtlpSettings, sampling: Sampling, counts: SpanCounts, log: Logger): Tracer {
  const { endpoint, headers, program, instance } = settings
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.endsWith('/') ? endpoint : `${endpoint}/`}v1/traces`,
    headers: { ...headers },
    timeoutMillis: EXPORT_TIMEOUT_MS
  })
  const queue = new SpanQueue(exporter, counts, log)
  const provider = new TracerProvider({
    sampler: new AlwaysOnSampler(), // only sampled spans are started
    resource: resourceFromAttributes({
      'service.name': program, 'service.namespace': 'relay', 'service.version': version, 'service.instance.id': instance
    }),
    spanLimits: { linkCountLimit: LINKS_MAX, attributeValueLengthLimit: 1_024 },
    spanProcessors: [queue]
  })
  const tracer = provider.getTracer('relay', version)

  const start = (name: string, { kind = 'internal', parent, links = [], startMs, attributes }: SpanOptions): Span => {
    const span = tracer.startSpan(name, {
      kind: kinds[kind],
      root: parent === undefined,
      links: links.map(it => ({ context: sdkContext(it.context), attributes: it.attributes })),
      startTime: startMs,
      attributes
    }, parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, sdkContext(parent)))
    return new OtlpSpan(span, start)
  }
  return {
    sampling,
    get isFull () { return queue.isFull },
    start: (name, options = {}) => start(name, options),
    drop: count => counts.dropped(count),
    close: () => queue.shutdown()
  }
}

const kinds = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER
} as const

function sdkContext ({ traceId, spanId }: TraceContext) {
  return { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true }
}

class OtlpSpan implements Span {
  readonly #span: SdkSpan
  readonly #start: (name: string, options: SpanOptions) => Span
  readonly traceId: string
  readonly spanId: string

  constructor (span: SdkSpan, start: (name: string, options: SpanOptions) => Span) {
    this.#span = span
    this.#start = start
    const { traceId, spanId } = span.spanContext()
    this.traceId = traceId
    this.spanId = spanId
  }

  child (name: string, options: Omit<SpanOptions, 'parent'> = {}): Span {
    return this.#start(name, { ...options, parent: this })
  }

  set (attributes: Record<string, string | number | boolean>): void {
    this.#span.setAttributes(attributes)
  }

  end (error?: unknown, endMs?: number): void {
    if (error !== undefined) {
      const { message = String(error), code } = error as { message?: string, code?: string }
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message })
      if (code !== undefined) this.#span.setAttribute('error.type', String(code))
    }
    this.#span.end(endMs)
  }
}

class SpanQueue implements SpanProcessor {
  readonly #exporter: SpanExporter
  readonly #counts: SpanCounts
  readonly #log: Logger
  #waiting: ReadableSpan[] = []
  #exporting: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isFailing = false
  #isClosed = false

  constructor (exporter: SpanExporter, counts: SpanCounts, log: Logger) {
    this.#exporter = exporter
    this.#counts = counts
    this.#log = log
  }

  get isFull (): boolean { return this.#waiting.length >= QUEUE_MAX }

  onStart (): void {}

  onEnd (span: ReadableSpan): void {
    if (this.#isClosed || this.isFull) return this.#counts.dropped(1)
    this.#waiting.push(span)
    if (this.#waiting.length >= BATCH_MAX) this.#export()
    else this.#timer ??= setTimeout(() => this.#export(), EXPORT_INTERVAL_MS).unref()
  }

  async forceFlush (): Promise<void> {
    while (this.#exporting !== undefined || this.#waiting.length > 0) {
      this.#export()
      await this.#exporting
    }
  }

  async shutdown (): Promise<void> {
    if (this.#isClosed) return
    await within(CLOSE_MAX_MS, this.forceFlush()).catch(() => {})
    this.#isClosed = true
    this.#counts.dropped(this.#waiting.length)
    this.#waiting = []
    clearTimeout(this.#timer)
    await within(CLOSE_MAX_MS, this.#exporter.shutdown()).catch(() => {})
  }

  #export (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#exporting !== undefined || this.#waiting.length === 0) return
    const batch = this.#waiting.splice(0, BATCH_MAX)
    this.#exporting = this.#send(batch).then(error => {
      this.#exporting = undefined
      if (error === undefined) this.#counts.exported(batch.length)
      else this.#counts.dropped(batch.length)
      this.#note(error)
      if (this.#waiting.length >= BATCH_MAX) this.#export()
      else if (this.#waiting.length > 0) this.#timer ??= setTimeout(() => this.#export(), EXPORT_INTERVAL_MS).unref()
    })
  }

  #send (batch: ReadableSpan[]): Promise<Error | undefined> {
    return new Promise(resolve => {
      try {
        this.#exporter.export(batch, ({ code, error }) =>
          resolve(code === ExportResultCode.SUCCESS ? undefined : error ?? new Error('the export failed')))
      } catch (error) {
        resolve(error as Error)
      }
    })
  }

  #note (error: Error | undefined): void {
    if (error !== undefined && !this.#isFailing) {
      this.#log.warn({ reason: error.message }, 'could not export spans, so they are dropped')
    }
    if (error === undefined && this.#isFailing) this.#log.info('spans are exported again')
    this.#isFailing = error !== undefined
  }
}
