/**
 * `docker compose` with compose.yaml on a real engine: built, started, asked, loaded, killed, looked after, scaled and
 * stopped. `deploy/test-compose` runs it. One site, and tests in the order of its life.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'

import { HOUR_MS } from 'relay-rollups'

import { Fleet } from '../../relay-simulator/src/fleet.ts'
import { valueAt } from '../../relay-simulator/src/value.ts'
import { until } from 'relay-test-support/until.ts'
import { ROOT } from '../test/support/dockerfile.ts'
import { programs, rootManifest } from '../test/support/programs.ts'
import { assertCounted, inAnHour, startLoad, type Load } from './load.ts'
import { docker, isOfStandIns, openSite } from './site.ts'
import { assertWatched } from './watched.ts'

const volumesBefore = await listVolumes()
const site = await openSite('compose.yaml')
after(() => site.close())

const MB = 1_000_000
const IMAGE_MAX_BYTES = 250 * MB
/** Debian's own image is smaller than what debootstrap makes. */
const DEBIAN_BYTES = 75 * MB

async function listVolumes (): Promise<string[]> {
  return (await docker('volume', 'ls', '--quiet')).split('\n').filter(it => it !== '')
}

const newVolumes = async () => (await listVolumes()).filter(it => !volumesBefore.includes(it))

/** Volumes without a name: the image asks for one that compose.yaml does not mount. */
const unnamedVolumes = async () => (await newVolumes()).filter(it => !it.startsWith('relay-test_'))

async function untilStartedAgain (service: string, id: string): Promise<void> {
  const restarts = async () => Number(await docker('inspect', '--format', '{{.RestartCount}}', id))
  await until(`the engine to start ${service} again`, async () => await restarts() > 0)
}

async function assertAllCounted (load: Load, zone: string): Promise<void> {
  await assertCounted(site, load, zone)
  console.log(`${zone}: ${load.sent.count} events, all counted once; ${load.failed.length} requests failed and were sent again`)
}

suite('docker compose', () => {
  test('build makes an image of each program, none larger than its budget', { timeout: 1_200_000 }, async () => {
    const startMs = performance.now()
    await site.paste('docker compose build')
    console.log(`built in ${seconds(startMs)} s`)
    const sizeOf = async (image: string) => Number(await docker('image', 'inspect', '--format', '{{.Size}}', image))
    const standInBytes = isOfStandIns ? await sizeOf('relay-stand-in/debian:trixie') - DEBIAN_BYTES : 0
    for (const name of Object.keys(programs)) {
      const bytes = await sizeOf(`relay-${name}:${rootManifest.version}`) - standInBytes
      console.log(`relay-${name}: ${Math.round(bytes / MB)} MB`)
      assert.ok(bytes <= IMAGE_MAX_BYTES, `relay-${name} has ${bytes} bytes`)
    }
  })

  test('up -d: every service is well, and the first answer is right', { timeout: 300_000 }, async () => {
    const startMs = performance.now()
    await site.paste('docker compose up -d')
    const question = hourOf('device/thermostat-001')
    await until(
      'the first answer', async () => (await site.ask(question).catch(() => undefined))?.body.count === 3_600, 240_000
    )
    console.log(`first right answer after ${seconds(startMs)} s`)
    await site.untilWell()
    console.log(`all well after ${seconds(startMs)} s`)
    const [migrate] = await site.containers('migrate')
    assert.equal(await docker('inspect', '--format', '{{.State.ExitCode}}', migrate.id), '0')
  })

  test('the questions of the README have the numbers that the devices sent', async () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
    const paths = [...readme.matchAll(/^GET (\/api\/events\/\S+)$/gm)].map(it => it[1])
    assert.equal(paths.length, 4)
    const fleet = new Fleet({ devices: 3, zones: 3, rate: 1, seed: 1 })
    const [device] = fleet.devices.filter(it => it.deviceId === 'thermostat-001')
    const { startMs, endMs } = hour()
    const values: number[] = []
    for (let tick = fleet.tickFrom(startMs); fleet.timeAt(tick) < endMs; tick++) {
      if (fleet.deviceAt(tick) === device) values.push(valueAt(device.deviceType, device.seed, fleet.timeAt(tick)))
    }
    for (const path of paths) {
      const selection = path.replace('/api/events/', '').replace('{deviceId}', device.deviceId)
        .replace('{zone}', 'Zone%20A').replace('{deviceType}', device.deviceType)
      const { status, body: { count, minValue, maxValue, avgValue } } = await site.ask(hourOf(selection))
      assert.equal(status, 200, path)
      assert.deepEqual([count, minValue, maxValue], [values.length, Math.min(...values), Math.max(...values)], path)
      assert.ok(Math.abs(avgValue - values.reduce((sum, it) => sum + it, 0) / values.length) < 1e-9, path)
    }
  })

  test('the history of a first start is final: nothing of it came late', async () => {
    const { body } = await site.ask('/api/v1/aggregates?start=-23h&end=-10m&interval=1h&stats=count')
    assert.ok(body.rows.length >= 23)
    assert.deepEqual([...new Set(body.rows.map((it: { status: string }) => it.status))], ['final'])
    assert.equal(body.lateReadings, 0)
  })

  test('a client on this machine produces to Kafka, and its reading is answered', async () => {
    const args = ['-P', '-t', 'iot-events', '-k', 'kcat-1', '-X', 'partitioner=murmur2_random']
    const kcat = spawn('kcat', ['-b', `localhost:${site.ports.kafka}`, ...args], { stdio: ['pipe', 'inherit', 'inherit'] })
    const timestamp = new Date().toISOString()
    kcat.stdin.end(
      JSON.stringify({ deviceId: 'kcat-1', deviceType: 'THERMOSTAT', zone: 'kcat', value: 21.5, timestamp })
    )
    const [exitCode] = await once(kcat, 'close')
    assert.equal(exitCode, 0)
    const question = `/api/v1/aggregates?zone=kcat&start=-1h&end=${inAnHour()}&interval=range&stats=avg`
    await until('its reading', async () => (await site.ask(question)).body.rows[0]?.avg === 21.5)
  })

  test('logs show what a service writes', async () => {
    assert.match(await site.compose('logs', 'simulator'), /simulator started/)
  })

  test('down and up: the data are there, and nothing without a name is left', { timeout: 300_000 }, async () => {
    const before = (await site.ask(hourOf('zone/Zone%20A'))).body
    const startMs = performance.now()
    await site.paste('docker compose down')
    console.log(`down in ${seconds(startMs)} s`)
    assert.deepEqual(await site.containers(), [])
    assert.deepEqual(await unnamedVolumes(), [])
    await site.compose('up', '--detach')
    await site.untilWell()
    console.log(`up again after ${seconds(startMs)} s`)
    const { timeWindowStart, timeWindowEnd } = before
    const again = await site.ask(`/api/events/zone/Zone%20A?startTime=${timeWindowStart}&endTime=${timeWindowEnd}`)
    assert.deepEqual(again.body, before)
  })

  const ofMinutes = { timeout: 900_000 }
  test('each container is killed and restarted under load: nothing is lost, nothing counts twice', ofMinutes, async () => {
    const load = startLoad(site.ports.api, 'killed', Date.now() - HOUR_MS)
    for (const service of ['processor', 'api', 'kafka', 'postgres', 'simulator']) {
      const [{ id }] = await site.containers(service)
      await site.crash(id)
      await untilStartedAgain(service, id)
      await site.untilWell()
      await site.compose('restart', service)
      await site.untilWell()
    }
    await load.stop()
    await assertAllCounted(load, 'killed')
  })

  test('late readings in compressed chunks of TimescaleDB count once, in answers and in rows', ofMinutes, async t => {
    if (await site.psql('select rollups_are_hypertables()') !== 't') return t.skip('its community edition is not here')
    const zone = 'compressed'
    const chunks = `from timescaledb_information.chunks
      where hypertable_name = 'rollups_minute' and range_end < now() - interval '2 days'`
    const rows = `select coalesce(sum(count), 0) from rollups_minute join series using (series_id)
      where zone = '${zone}' and device_id is not null and bucket_start < now() - interval '2 days'`
    const startMs = Date.now() - HOUR_MS
    const inRows = async (load: Load) => {
      await assertAllCounted(load, zone)
      await until(
        'late readings to be in rows', async () => Number(await site.psql(rows)) === load.sent.count / 10, 400_000
      )
    }
    const first = startLoad(site.ports.api, zone, startMs)
    await until('some events', () => first.succeeded >= 5)
    await first.stop()
    await inRows(first)
    const compressed = await site.psql(`select count(compress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass, true)) ${chunks}`)
    assert.ok(Number(compressed) > 0)
    const again = startLoad(site.ports.api, zone, startMs) // what was sent before, and more
    await until('more events', () => again.succeeded >= 10)
    await again.stop()
    await inRows(again)
    assert.equal(await site.psql(`select bool_or(is_compressed) ${chunks}`), 't')
  })

  test('run --rm relay verify finds no difference, and replay has nothing to change', { timeout: 600_000 }, async () => {
    const startMs = performance.now()
    await site.paste('docker compose run --rm relay verify --from 24h --to 0s')
    console.log(await site.verify())
    console.log(`verified in ${seconds(startMs)} s`)
    const replay = JSON.parse(await site.compose('run', '--rm', '-T', 'relay', 'replay', '--json'))
    for (const change of Object.values(replay.changes)) assert.deepEqual(change, { added: 0, changed: 0, removed: 0 })
    assert.ok(replay.records > 259_200)
    const swapped = JSON.parse(await site.compose('run', '--rm', '-T', 'relay', 'replay', '--yes', '--json'))
    assert.equal(swapped.isDryRun, false)
    assert.deepEqual(await unnamedVolumes(), [])
  })

  test('run --rm relay leaves the site alone, also in a shell with other variables', async () => {
    const ids = async () => (await site.containers()).map(it => it.id).sort()
    const before = await ids()
    assert.match(await site.paste('API_PORT=1 KAFKA_PORT=1 POSTGRES_PORT=1 docker compose run --rm relay lag'), /iot-events/)
    assert.deepEqual(await ids(), before)
  })

  test('a site can do without the simulated fleet', ofMinutes, async () => {
    await site.paste('docker compose up -d --scale simulator=0')
    assert.deepEqual(await site.containers('simulator'), [])
    await site.paste('docker compose up -d')
    await site.untilWell()
  })

  test('a canary of the processors is aborted, then promoted, under load: every event counts once', ofMinutes, async () => {
    await site.paste('IMAGE_TAG=green docker compose build processor')
    await site.paste('IMAGE_TAG=green docker compose run --rm --no-deps migrate')
    await site.paste('IMAGE_TAG=green docker compose run --rm relay replay --from 24h --dry-run')
    await site.paste('IMAGE_TAG=green PROCESSOR_GENERATION=green ' +
      'docker compose run -d --no-deps --name relay-canary processor')
    const status = () => site.paste('docker compose run --rm relay deploy status')
    await until('the canary to stand by', async () => (await status()).includes('green'), 120_000)

    const load = startLoad(site.ports.api, 'canary', Date.now() - HOUR_MS)
    const deploy = (...args: string[]) => site.compose('run', '--rm', '-T', 'relay', 'deploy', ...args)
    const host = await docker('inspect', '--format', '{{.Config.Hostname}}', 'relay-canary')
    const ownedByCanary = async () =>
      Number(await site.psql(`select count(*) from progress where owner like '${host}%'`))
    await deploy('canary', '--generation', 'green', '--partitions', '1')
    await until('the canary to own a partition', async () => await ownedByCanary() === 1, 120_000)
    await deploy('abort')
    await until('the canary to own none', async () => await ownedByCanary() === 0, 120_000)

    const promote = 'docker compose run --rm relay deploy canary --generation green ' +
      '--partitions 1 --analyse 10m --promote'
    await site.paste(promote.replace('10m', '1m'))
    assert.equal(await site.psql("select generation from processor_generations where state = 'active'"), 'green')
    site.set('PROCESSOR_GENERATION', 'green')
    await site.paste('docker compose build')
    await site.paste('docker compose up -d')
    await site.paste('docker rm -f relay-canary')
    await site.untilWell()
    await load.stop()
    await assertAllCounted(load, 'canary')
    console.log(await site.verify())
  })

  test('three processors and two APIs behind a proxy: they are replaced one by one, and killed, under load', ofMinutes, async () => {
    site.use('compose.yaml:compose.scaled.yaml')
    await site.paste('docker compose up -d')
    await site.untilWell()
    assert.deepEqual([(await site.containers('processor')).length, (await site.containers('api')).length], [3, 2])

    const load = startLoad(site.ports.api, 'scaled', Date.now() - HOUR_MS)
    await until(
      'all three to work', async () => await site.psql('select count(distinct owner) from progress') === '3', 120_000
    )
    const [api] = await site.containers('api')
    await docker('stop', '-t', '20', api.id)
    assert.deepEqual(load.failed, [], 'an API that is stopped drains first')
    await docker('rm', api.id) // as an update leaves it that was stopped
    await site.paste('deploy/rolling-update processor api')
    assert.deepEqual(load.failed, [], 'a rolling update fails no request')
    for (const service of ['processor', 'api']) {
      const [{ id }] = await site.containers(service)
      await site.crash(id)
      await untilStartedAgain(service, id)
      await site.untilWell()
    }
    await load.stop()
    await assertAllCounted(load, 'scaled')
    console.log(`connections: ${await site.psql('select count(*) from pg_stat_activity where backend_type = \'client backend\'')}`)
  })

  test('--profile monitoring: Prometheus reaches every part, and has its rules', { timeout: 300_000 }, async () => {
    await assertWatched(site, 8)
  })

  test('down --volumes leaves nothing behind', { timeout: 120_000 }, async () => {
    const startMs = performance.now()
    await site.close()
    console.log(`down in ${seconds(startMs)} s`)
    assert.deepEqual(await newVolumes(), [])
  })
})

const seconds = (startMs: number) => ((performance.now() - startMs) / 1_000).toFixed(1)

/** The last whole hour that ended two hours ago. */
function hour (): { startMs: number, endMs: number } {
  const endMs = Math.floor(Date.now() / HOUR_MS - 2) * HOUR_MS
  return { startMs: endMs - HOUR_MS, endMs }
}

function hourOf (selection: string): string {
  const { startMs, endMs } = hour()
  return `/api/events/${selection}?startTime=${new Date(startMs).toISOString()}&endTime=${new Date(endMs).toISOString()}`
}
