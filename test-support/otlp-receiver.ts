/** Receives spans by OTLP over HTTP, as JSON: the collector of a test. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

export interface ReceivedSpan {
  readonly program: string
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  /** '' if it begins a trace */
  readonly parentSpanId: string
  readonly startMs: number
  readonly endMs: number
  readonly links: ReadonlyArray<{ readonly traceId: string, readonly spanId: string, readonly attributes: Attributes }>
  readonly attributes: Attributes
  /** undefined: no error */
  readonly error: string | undefined
}

export type Attributes = Readonly<Record<string, string | number | boolean>>

export interface OtlpReceiver {
  /** for OTEL_EXPORTER_OTLP_ENDPOINT */
  readonly url: string
  readonly spans: ReceivedSpan[]
  /** headers of the newest request */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  close (): Promise<void>
}

interface WireAttribute {
  readonly key: string
  readonly value: {
    readonly stringValue?: string,
    readonly intValue?: number | string,
    readonly doubleValue?: number,
    readonly boolValue?: boolean
  }
}

export async function openOtlpReceiver (t: TestContext): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  let headers = {}
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    headers = request.headers
    if (request.url === '/v1/traces') spans.push(...decodeSpans(JSON.parse(Buffer.concat(chunks).toString())))
    response.writeHead(request.url === '/v1/traces' ? 200 : 404, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const close = async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
  t.after(close)
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, spans, get headers () { return headers }, close }
}

/** The spans of a request (ExportTraceServiceRequest). */
export function decodeSpans (request: any): ReceivedSpan[] {
  return request.resourceSpans.flatMap((resource: any) => {
    const { 'service.name': program } = attributesOf(resource.resource.attributes)
    return resource.scopeSpans.flatMap((scope: any) => scope.spans.map((span: any): ReceivedSpan => ({
      program: String(program),
      name: span.name,
      traceId: span.traceId,
      spanId: span.spanId,
      parentSpanId: span.parentSpanId ?? '',
      startMs: Number(BigInt(span.startTimeUnixNano) / 1000n) / 1000,
      endMs: Number(BigInt(span.endTimeUnixNano) / 1000n) / 1000,
      links: (span.links ?? []).map(
        (it: any) => ({ traceId: it.traceId, spanId: it.spanId, attributes: attributesOf(it.attributes) })
      ),
      attributes: attributesOf(span.attributes),
      error: span.status?.code === 2 ? span.status.message ?? '' : undefined
    })))
  })
}

function attributesOf (wire: readonly WireAttribute[] = []): Attributes {
  return Object.fromEntries(wire.map(({ key, value: { stringValue, intValue, doubleValue, boolValue } }) =>
    [key, stringValue ?? (intValue === undefined ? undefined : Number(intValue)) ?? doubleValue ?? boolValue ?? '']))
}
