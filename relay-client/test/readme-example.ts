import { createRelayClient } from '@relay-telemetry/client'

const relay = createRelayClient({ baseUrl: 'http://127.0.0.1:8080', token: 'supermetrics-api-token-2024' })

// any route with typed parameters, answer and problems
const { data, error } = await relay.GET('/api/v1/devices', { params: { query: { zone: ['Zone A'], limit: 10 } } })
if (error) throw new Error(error.detail)
for (const { device, lastValue, lastSeen } of data.devices) console.log(device, lastValue, lastSeen)

// rows as they arrive, over as many answers as needed
for await (const row of relay.aggregateRows({ start: '-7d', interval: '1h', groupBy: 'device', stats: 'avg,p95' })) {
  console.log(row.bucketStart, row.device, row.avg, row.p95)
}

// changes as they are committed; a lost connection is reopened, and nothing is missed
for await (const message of relay.stream({ zone: ['Zone A'] }, { signal: AbortSignal.timeout(60_000) })) {
  if (message.event === 'rollup') console.log(message.data.bucketStart, message.data.avg)
}
