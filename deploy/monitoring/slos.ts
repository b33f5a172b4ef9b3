/**
 * The service level objectives of a site: each is the share of good events among all, over 30 days.
 *
 * All counts are by `namespace`: on Kubernetes that is one site each; elsewhere no metric has that label, and a
 * Prometheus watches one site.
 */
import { DAY, HOUR, MINUTE, type Time } from './time.ts'

export interface Slo {
  readonly name: string
  /** share of good events, 0 to 1 */
  readonly objective: number
  /** describes good events */
  readonly what: string
  /** PromQL: bad events within a time, and all events */
  bad (window: string): string
  all (window: string): string
}

const sumOf = (selector: string, window: string) => `sum by (namespace) (increase(${selector}[${window}]))`

const SHORT_ANSWERS = 'route=~"/api/.+",route!="/api/v1/events",status=~"2.."'

export const slos = {
  answersAvailable: {
    name: 'answers-available',
    objective: 0.999,
    what: 'queries answered without a 5xx',
    bad: window => sumOf('relay_api_requests_total{kind="query",outcome="failed"}', window),
    all: window => sumOf('relay_api_requests_total{kind="query"}', window)
  },
  answersFast: {
    name: 'answers-fast',
    objective: 0.99,
    what: 'answers sent within 100 ms',
    // Prometheus 3 writes bounds as floats
    bad: window => `${sumOf(`relay_api_request_duration_seconds_count{${SHORT_ANSWERS}}`, window)} - ` +
      sumOf(`relay_api_request_duration_seconds_bucket{${SHORT_ANSWERS},le="0.1"}`, window),
    all: window => sumOf(`relay_api_request_duration_seconds_count{${SHORT_ANSWERS}}`, window)
  },
  ingestAccepted: {
    name: 'ingest-accepted',
    objective: 0.9995,
    what: 'requests with events answered without a 5xx',
    bad: window => sumOf('relay_api_requests_total{kind="ingest",outcome="failed"}', window),
    all: window => sumOf('relay_api_requests_total{kind="ingest"}', window)
  },
  rollupsFresh: {
    name: 'rollups-fresh',
    objective: 0.999,
    what: 'readings in the rollups within 5 s after their append to the event log',
    bad: window => `${sumOf('relay_freshness_seconds_count', window)} - ` +
      sumOf('relay_freshness_seconds_bucket{le=~"5(\\\\.0)?"}', window),
    all: window => sumOf('relay_freshness_seconds_count', window)
  }
} as const satisfies Readonly<Record<string, Slo>>

/** The windows of recording rules, s, by the part of the rule's name. */
export const windows: Readonly<Record<string, number>> = {
  '5m': 5 * MINUTE, '30m': 30 * MINUTE, '1h': HOUR, '2h': 2 * HOUR, '6h': 6 * HOUR, '1d': DAY, '3d': 3 * DAY
}

/**
 * How fast a budget may burn: https://sre.google/workbook/alerting-on-slos/, "Multiwindow, Multi-Burn-Rate Alerts". The long
 * window shows that it matters, the short one that it continues. So an alarm ends soon after its cause.
 */
const burns = {
  page: [{ rate: 14.4, long: '1h', short: '5m' }, { rate: 6, long: '6h', short: '30m' }],
  ticket: [{ rate: 3, long: '1d', short: '2h' }, { rate: 1, long: '3d', short: '6h' }]
} as const

/** Burn rates that page, ascending: 1 would use up the budget in 30 days. */
export const pagingBurns: readonly number[] = burns.page.map(it => it.rate).toSorted((a, b) => a - b)

/** Fewer bad events never fire: with ten queries per hour, one of them would be a tenth. */
const BAD_EVENTS_MIN = 10

/** The PromQL of an alarm on a budget that burns too fast. */
export function burnsTooFast ({ name, objective }: Slo, severity: keyof typeof burns): string {
  const slo = `{slo="${name}"}`
  return burns[severity].map(({ rate, long, short }) => {
    const most = Number((rate * (1 - objective)).toPrecision(6))
    return `(relay:slo_bad:ratio${long}${slo} > ${most} and relay:slo_bad:ratio${short}${slo} > ${most}` +
      ` and relay:slo_bad:increase${long}${slo} >= ${BAD_EVENTS_MIN})`
  }).join('\nor\n')
}

export interface RecordingRule {
  readonly record: string
  readonly expr: string
  readonly labels: Readonly<Record<string, string>>
}

/** Recording rules: bad events and their share, per objective and window. */
export function recordingRules (time: Time): RecordingRule[] {
  return Object.values<Slo>(slos).flatMap(({ name, bad, all }) => Object.entries(windows)
    .flatMap(([window, seconds]) => [
      { record: `relay:slo_bad:increase${window}`, expr: bad(time(seconds)), labels: { slo: name } },
      {
        record: `relay:slo_bad:ratio${window}`,
        expr: `relay:slo_bad:increase${window}{slo="${name}"} / ignoring (slo) (${all(time(seconds))} > 0)`,
        labels: { slo: name }
      }
    ]))
}
