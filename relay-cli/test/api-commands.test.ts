/** `relay devices | query | send | tail`, as processes, with a real API, processor and event log. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { WELL_KNOWN_TOKEN } from 'relay-access'
import { publishLocalStack } from 'relay-common'

import { TOKEN } from '../../relay-api/test/support/ask.ts'
import { authorization } from '../../relay-api/test/support/ingest-site.ts'
import { openStreamSite } from '../../relay-api/test/support/stream-site.ts'
import { openTcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { documents, runCli, spawnCli } from './support/run-cli.ts'

const limit = { timeout: 240_000 }
const start = '2024-01-01T00:00:00Z'
const end = '2024-01-01T01:00:00Z'

/** Of one device, one per minute. */
function lines (values: readonly number[], deviceId = 'd-1'): string {
  return values.map((value, n) => JSON.stringify({
    deviceId,
    deviceType: 'THERMOSTAT',
    zone: 'Zone A',
    value,
    timestamp: new Date(Date.parse(start) + n * 60_000).toISOString()
  }) + '\n').join('')
}

async function openSite (t: TestContext, settings: Record<string, string> = {}) {
  const site = await openStreamSite(t, settings)
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-cli-'))
  t.after(() => rm(folder, { recursive: true }))
  const environment = { RELAY_URL: site.url, RELAY_TOKEN: TOKEN, RELAY_DATA_DIR: folder, API_TOKENS: '' }
  const relay = (...args: string[]) => runCli({ environment }, args)
  const file = async (content: string) => {
    const path = join(folder, 'events')
    await writeFile(path, content)
    return path
  }
  return { site, folder, environment, relay, file, [Symbol.asyncDispose]: () => site[Symbol.asyncDispose]() }
}

/** Waits until the rollups have a number of readings. */
async function untilCounted ({ url }: { readonly url: string }, count: number): Promise<void> {
  await until(`${count} readings`, async () => {
    const answer = await fetch(
      `${url}/api/v1/aggregates?start=${start}&end=${end}&interval=range`, { headers: { authorization } }
    )
    return (await answer.json() as { rows: Array<{ count: number }> }).rows[0]?.count === count
  })
}

test('sent events are found: devices with their newest reading, statistics in rows, tables for people', limit, async t => {
  await using opened = await openSite(t)
  const { relay, file } = opened
  const ndjson = await relay('send', await file(lines([1, 2, 6])))
  assert.deepEqual([ndjson.code, ndjson.stdout], [0, '3 events accepted, 0 refused\n'], ndjson.stderr)
  const array = await relay(
    'send', '--json',
    await file(JSON.stringify(lines([5], 'd-2').trim().split('\n').map(it => JSON.parse(it)), null, 2))
  )
  assert.deepEqual([array.code, documents(array)], [0, [{ accepted: 1, refused: [] }]], array.stderr)
  const one = await relay(
    'send', '--device', 'd-3', '--zone', 'Zone B', '--type', 'CAR_FUEL', '--value=-0.5', '--time', start
  )
  assert.deepEqual([one.code, one.stdout], [0, '1 event accepted, 0 refused\n'], one.stderr)
  await untilCounted(opened.site, 5)

  const devices = documents(await relay('devices', '--json'))
  assert.deepEqual(devices.map(it => [it.device, it.zone, it.lastValue]), [
    ['d-1', 'Zone A', 6], ['d-2', 'Zone A', 5], ['d-3', 'Zone B', -0.5]
  ])
  const table = await relay('devices', '--zone', 'Zone A', '--limit', '1')
  assert.match(
    table.stdout,
    /^device +zone +type +last value +last seen\nd-1 +Zone A +THERMOSTAT +6 +2024-01-01T00:02:00.000Z \(\d+ d ago\)\n\nthere are more than 1; use --limit/
  )
  assert.equal((await relay('devices', '--prefix', 'nobody')).stdout, 'no devices\n')

  const query = ['query', '--start', start, '--end', end, '--stats', 'count,avg,p50']
  const rows = documents(await relay(...query, '--interval', '1m', '--device', 'd-1', '--json'))
  assert.deepEqual(rows.map(it => [it.bucketStart, it.count, it.avg]), [
    ['2024-01-01T00:00:00Z', 1, 1], ['2024-01-01T00:01:00Z', 1, 2], ['2024-01-01T00:02:00Z', 1, 6]])
  const grouped = await relay(...query, '--interval', 'range', '--group-by', 'zone')
  assert.match(
    grouped.stdout,
    /^bucketStart +zone +count +avg +p50 +p50Error +status\n2024-01-01T00:00:00Z +Zone A +4 +3.5 +3.5 +0 +\w+\n2024-01-01T00:00:00Z +Zone B +1 +-0.5 /
  )
  const cut = await relay(...query, '--interval', '1m', '--device', 'd-1', '--limit', '2')
  assert.deepEqual(
    [cut.stdout.trim().split('\n').length, cut.stderr], [3, 'relay: there are more than 2 rows; use --limit\n']
  )
  assert.equal((await relay(...query, '--zone', 'nowhere')).stdout, 'no readings\n')
})

test('refused events are reported by their place in the file, and all others are accepted', limit, async t => {
  await using opened = await openSite(t)
  const { relay, file } = opened
  const values = Array.from({ length: 1_500 }, (_, n) => n % 50)
  const bad = lines([1]).replace('THERMOSTAT', 'TOASTER')
  const content = lines(values, 'd-1') + bad + '\n{"not json"\n'
  const sent = await relay('send', await file(content))
  assert.equal(sent.code, 1)
  assert.match(
    sent.stdout, /^1500 events accepted, 2 refused\n {2}event 1501: device-type-unknown: .*\n {2}event 1502: not-json/
  )
  const again = await relay('send', '--json', await file(bad))
  assert.equal(again.code, 1)
  assert.deepEqual(documents(again)[0].refused.map((it: any) => [it.event, it.reason]), [[1, 'device-type-unknown']])
})

test('an error is one line with what to do', limit, async t => {
  await using opened = await openSite(t)
  const { relay, environment, folder } = opened
  const away = await openTcpProxy(0)
  await away.close() // nobody listens there
  const failures: Array<[args: string[], settings: Record<string, string>, said: RegExp]> = [
    [
      ['devices'], { RELAY_URL: `http://127.0.0.1:${away.port}` },
      /^relay: no connection to the API at \S+ \(ECONNREFUSED\); check RELAY_URL\n$/
    ],
    [
      ['devices'], { RELAY_URL: 'relay.example' },
      /^relay: RELAY_URL must be a URL such as https:.* \(RELAY_CONFIG_INVALID\)\n$/
    ],
    [['tail'], { RELAY_TOKEN: 'wrong' }, /^relay: .*check RELAY_TOKEN \(RELAY_UNAUTHORIZED\)\n$/],
    [
      ['devices'], { RELAY_TOKEN: '' },
      /^relay: RELAY_TOKEN is not set: http.* requires a token \(RELAY_CONFIG_INVALID\)\n$/
    ],
    [
      ['devices'], { RELAY_URL: '' },
      /^relay: no local stack is running .* set other servers with RELAY_URL \(RELAY_CONFIG_INVALID\)\n$/
    ],
    [['query', '--start', 'yesterday'], {}, /^relay: start must be an ISO-8601 time .* \(RELAY_PARAMETER_INVALID\)\n$/],
    [['send', '--device', 'd'], {}, /^relay: an event needs --zone, --type, --value \(RELAY_CONFIG_INVALID\)\n$/],
    [['send', join(folder, 'nowhere')], {}, /^relay: ENOENT: no such file or directory/]
  ]
  for (const [args, settings, said] of failures) {
    const { code, stdout, stderr } = await runCli({ environment: { ...environment, ...settings } }, args)
    assert.deepEqual([code, stdout], [2, ''], `${args.join(' ')}: ${stderr}`)
    assert.match(stderr, said)
  }
  for (const args of [['devices', '--limit', '0'], ['send', '--value', 'warm']]) {
    assert.equal((await relay(...args)).code, 64, args.join(' '))
  }
  for (const name of ['devices', 'query', 'send', 'tail']) {
    assert.match((await relay(name, '--help')).stdout, /Examples:\n {2}relay /)
  }
})

test('without RELAY_URL the API is that of the local stack, with its token', limit, async t => {
  await using opened = await openSite(t, { API_TOKENS: `${WELL_KNOWN_TOKEN},${TOKEN}` })
  const { folder, environment, site } = opened
  const told = await publishLocalStack(folder, { RELAY_URL: site.url })
  const { code, stdout, stderr } = await runCli(
    { environment: { ...environment, RELAY_URL: '', RELAY_TOKEN: '' } }, ['devices']
  )
  assert.deepEqual([code, stdout], [0, 'no devices\n'], stderr)
  await told.close()
})

test('tail prints rollups as they change, and misses none while its connection is lost', limit, async t => {
  await using opened = await openSite(t)
  const proxy = await openTcpProxy(Number(new URL(opened.site.url).port))
  t.after(() => proxy.close())
  const settings = { ...opened.environment, RELAY_URL: `http://127.0.0.1:${proxy.port}` }
  const child = spawnCli({ environment: settings }, ['tail', '--json', '--device', 'd-1'])
  t.after(() => child.kill('SIGKILL'))
  let [shown, noted] = ['', '']
  child.stdout!.on('data', text => { shown += text })
  child.stderr!.on('data', text => { noted += text })
  const newest = () => new Map(shown.split('\n')
    .slice(0, -1)
    .map(it => JSON.parse(it))
    .map(it => [it.bucketStart, it.max]))
  await until('the stream', () => noted === 'relay: connected\n')
  await opened.relay('send', await opened.file(lines([1, 2])))
  await until('two rollups', () => newest().size === 2)

  proxy.isRefusing = true
  proxy.cut()
  await opened.relay('send', await opened.file(lines([1, 2, 7])))
  await untilCounted(opened.site, 3)
  assert.equal(newest().size, 2)
  proxy.isRefusing = false
  await until('the rollup of meanwhile', () => newest().size === 3)
  assert.deepEqual([...newest()], [
    ['2024-01-01T00:00:00.000Z', 1], ['2024-01-01T00:01:00.000Z', 2], ['2024-01-01T00:02:00.000Z', 7]])
  await until('it to say so', () => noted === 'relay: connected\nrelay: connected again\n')
  child.kill('SIGINT')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})
