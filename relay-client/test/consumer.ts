/** A program of a user: `node consumer.js <url> <token>`. It runs in a project of its own (package.test.ts). */
import { createRelayClient, RelayProblem, type AggregateRow } from '@relay-telemetry/client'

export async function report (baseUrl: string, token: string): Promise<string> {
  const relay = createRelayClient({ baseUrl, token, retriesMax: 0 })
  const { data, error } = await relay.GET('/api/v1/devices', { params: { query: { zone: ['Zone A'] } } })
  if (error) throw new Error(error.detail)
  const devices = data.devices.map(it => `${it.device} ${it.lastValue.toFixed(1)}`)

  const rows: AggregateRow[] = []
  for await (const row of relay.aggregateRows(
    { start: '2024-01-01T00:00:00Z', end: '2024-01-01T01:00:00Z', interval: 'range', stats: 'avg,p95' }
  )) {
    rows.push(row)
  }
  const numbers = rows.map(({ avg, p95 }) => `${avg?.toFixed(1)} ${p95?.toFixed(2)}`)

  const stop = new AbortController()
  let first = ''
  for await (const { event } of relay.stream({ zone: ['Zone A'] }, { signal: stop.signal })) {
    first = event
    stop.abort()
  }
  const refusal = await relay.aggregateRows({ start: 'yesterday' }).next().catch((it: unknown) => it)
  return [...devices, ...numbers, first, refusal instanceof RelayProblem
    ? refusal.problem.code
    : 'no problem'].join(', ')
}
