/** Opens tracing, if OTEL_EXPORTER_OTLP_ENDPOINT is set. Otherwise the SDK of OpenTelemetry is not even loaded. */
import type { Static, TObject } from 'typebox'

import type { tracingSettings } from '../config.ts'
import type { Database } from '../database/database.ts'
import { RelayError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { createCounterBy, type Registry } from '../metrics.ts'
import { instanceName } from '../program-reports.ts'
import type { Tracer } from './port.ts'
import { createSampling } from './sampling.ts'
import { watchTracedDevices } from './traced-devices.ts'

export type TracingConfig = Readonly<Static<TObject<typeof tracingSettings>>>

export interface TracingParts {
  /** with the devices that are traced on demand */
  readonly database: Database
  readonly metrics: Registry
  readonly log: Logger
  readonly instance?: string
}

/**
 * @param program `service.name` of its spans
 * @returns undefined: tracing is off
 * @throws RelayError RELAY_CONFIG_INVALID
 */
export async function openTracer (
  config: TracingConfig, program: string, { database, metrics, log, instance = instanceName() }: TracingParts
): Promise<Tracer | undefined> {
  const spans = createCounterBy(
    metrics, { name: 'relay_trace_spans_total', help: 'spans of traces, by what became of them' }, 'outcome',
    ['exported', 'dropped']
  )
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_HEADERS: headers = '' } = config
  if (endpoint === undefined) return undefined
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new RelayError(
      'RELAY_CONFIG_INVALID', 'OTEL_EXPORTER_OTLP_ENDPOINT must be a URL such as http://collector:4318'
    )
  }
  const sampling = createSampling(config.TRACE_RATIO)
  const { openOtlpTracer } = await import('./otlp.ts')
  const tracer = openOtlpTracer({ endpoint, headers: readHeaders(headers), program, instance }, sampling, {
    exported: count => spans.inc({ outcome: 'exported' }, count),
    dropped: count => spans.inc({ outcome: 'dropped' }, count)
  }, log)
  const devices = watchTracedDevices(database, sampling, log)
  return {
    sampling,
    get isFull () { return tracer.isFull },
    start: (name, options) => tracer.start(name, options),
    drop: count => tracer.drop(count),
    async close () {
      await devices.close()
      await tracer.close()
    }
  }
}

/** `name=value,name=value`, with URL-encoded values, as in the specification of OpenTelemetry. */
function readHeaders (text: string): Record<string, string> {
  try {
    return Object.fromEntries(text.split(',').map(it => it.trim()).filter(it => it !== '').map(it => {
      const at = it.indexOf('=')
      if (at < 1) throw new Error(`no name in a header of ${it.length} characters`)
      return [it.slice(0, at).trim(), decodeURIComponent(it.slice(at + 1).trim())]
    }))
  } catch (cause) {
    throw new RelayError(
      'RELAY_CONFIG_INVALID', 'OTEL_EXPORTER_OTLP_HEADERS must be name=value pairs, separated by commas', { cause }
    )
  }
}
