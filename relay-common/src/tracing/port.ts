/**
 * Traces: how one event went through Relay, as spans of OpenTelemetry. A program without tracing has no tracer
 * (`undefined`), and then callers do nothing: they write `tracer?.start(…)`.
 *
 *     request or message ──▶ send ──traceparent in the record──link──▶ flush ──▶ settle, COPY, COMMIT
 *                                                                        └──link──▶ stream
 *
 * A span exists only if it is sampled (`sampling.ts`). Spans wait in a bounded queue; nothing ever waits for them.
 */
import type { Sampling } from './sampling.ts'

/** Names a span across programs; always a sampled one. */
export interface TraceContext {
  /** 32 lower-case hex digits */
  readonly traceId: string
  /** 16 lower-case hex digits */
  readonly spanId: string
}

export type Attributes = Readonly<Record<string, string | number | boolean>>

export interface Link {
  readonly context: TraceContext
  readonly attributes?: Attributes
}

export interface SpanOptions {
  readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer'
  /** undefined: the span begins a trace */
  readonly parent?: TraceContext | undefined
  readonly links?: readonly Link[]
  /** ms since the epoch; default: now */
  readonly startMs?: number
  readonly attributes?: Attributes
}

export interface Span extends TraceContext {
  /** Starts a span within this one. */
  child (name: string, options?: Omit<SpanOptions, 'parent'>): Span
  set (attributes: Attributes): void
  /**
   * @param error why the work failed; undefined: it did not
   * @param endMs ms since the epoch; default: now
   */
  end (error?: unknown, endMs?: number): void
}

export interface Tracer {
  readonly sampling: Sampling
  /** whether the queue is full, so that a further span would be dropped: callers with many spare themselves the work */
  readonly isFull: boolean
  start (name: string, options?: SpanOptions): Span
  /** Counts spans that were not even started because of `isFull`. */
  drop (count: number): void
  /** Exports what is waiting, for a moment at most. */
  close (): Promise<void>
}

/** Most links of one span: a flush has records of many traces. */
export const LINKS_MAX = 32

/** Fields that join a log line to a trace. */
export function traceFields (
  context: TraceContext | undefined
): { readonly traceId?: string, readonly spanId?: string } {
  return context ? { traceId: context.traceId, spanId: context.spanId } : {}
}

/** Runs work within a child of a span, if there is one. */
export async function spanned<T> (
  parent: Span | undefined, name: string, work: (span: Span | undefined) => Promise<T>, attributes?: Attributes
): Promise<T> {
  if (!parent) return await work(undefined)
  const span = parent.child(name, { attributes })
  try {
    const result = await work(span)
    span.end()
    return result
  } catch (error) {
    span.end(error)
    throw error
  }
}
