/**
 * `docker compose` with compose.yaml on a real engine: built, started, asked, loaded, killed, looked after, scaled and stopped.
 * `deploy/test-compose` runs it. One site, and tests in the order of its life.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'

import { HOUR_MS } from 'relay-common'

import { Fleet } from '../../relay-simulator/src/fleet.ts'
import { valueAt } from '../../relay-simulator/src/value.ts'
import { until } from '../../test-support/until.ts'
import { ROOT } from '../test/support/dockerfile.ts'
import { programs, rootManifest } from '../test/support/programs.ts'
import { startLoad, type Load } from './load.ts'
import { docker, openSite, STAND_INS } from './site.ts'

const isOfStandIns = process.env.STAND_INS !== undefined
const volumesBefore = await listVolumes()
const site = await openSite(isOfStandIns ? ['compose.yaml', STAND_INS] : ['compose.yaml'])
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

const serviceOf = async (service: string) => (await site.containers()).filter(it => it.service === service)

async function untilStartedAgain (service: string, id: string): Promise<void> {
  const restarts = async () => Number(await docker('inspect', '--format', '{{.RestartCount}}', id))
  await until(`the engine to start ${service} again`, async () => await restarts() > 0)
}

/** Holds the answers about a load against a plain count of it. */
async function assertCounted ({ sent, failed }: Load, zone: string): Promise<void> {
  const question = `/api/v1/aggregates?zone=${zone}&start=-20d&end=${inAnHour()}&interval=range&stats=count,sum`
  let answer: any
  await until(() => `${zone} to be counted: ${JSON.stringify(sent)}, the answer is ${JSON.stringify(answer)}`, async () => {
    answer = await site.ask(question).catch(String)
    return answer.body?.rows?.[0]?.count >= sent.count
  }, 120_000)
  const [{ count, sum }] = answer.body.rows
  assert.deepEqual({ count, sum }, sent)
  console.log(`${zone}: ${sent.count} events, all counted once; ${failed.length} requests failed and were sent again`)
}

suite('docker compose', () => {
  test('build makes an image of each program, none larger than its budget', { timeout: 1_200_000 }, async () => {
    const startMs = performance.now()
    await site.compose('--profile', '*', 'build', 'simulator', 'processor', 'api')
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
    await site.compose('up', '--detach')
    const question = hourOf('device/thermostat-001')
    await until('the first answer', async () => (await site.ask(question).catch(() => undefined))?.body.count === 3_600)
    console.log(`first right answer after ${seconds(startMs)} s`)
    await site.untilWell()
    console.log(`all well after ${seconds(startMs)} s`)
    const [migrate] = await serviceOf('migrate')
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
    kcat.stdin.end(JSON.stringify({ deviceId: 'kcat-1', deviceType: 'THERMOSTAT', zone: 'kcat', value: 21.5, timestamp }))
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
    await site.compose('down')
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
      const [{ id }] = await serviceOf(service)
      await site.crash(id)
      await untilStartedAgain(service, id)
      await site.untilWell()
      await site.compose('restart', service)
      await site.untilWell()
    }
    await load.stop()
    await assertCounted(load, 'killed')
  })

  test('run --rm relay verify finds no difference, and replay has nothing to change', { timeout: 600_000 }, async () => {
    const startMs = performance.now()
    const day = (timeMs: number) => new Date(timeMs).toISOString().slice(0, 10)
    const args = ['--from', day(Date.now() - 15 * 24 * HOUR_MS), '--to', day(Date.now() + 48 * HOUR_MS), '--json']
    console.log(await site.compose('run', '--rm', '-T', 'relay', 'verify', ...args))
    console.log(`verified in ${seconds(startMs)} s`)
    const replay = JSON.parse(await site.compose('run', '--rm', '-T', 'relay', 'replay', '--json'))
    for (const change of Object.values(replay.changes)) assert.deepEqual(change, { added: 0, changed: 0, removed: 0 })
    assert.ok(replay.records > 259_200)
    const swapped = JSON.parse(await site.compose('run', '--rm', '-T', 'relay', 'replay', '--yes', '--json'))
    assert.equal(swapped.isDryRun, false)
    assert.deepEqual(await unnamedVolumes(), [])
  })

  test('three processors and two APIs behind a proxy: one of each is stopped and killed under load', ofMinutes, async () => {
    site.useScaled()
    await site.compose('up', '--detach', '--build', '--scale', 'processor=3', '--scale', 'api=2')
    await site.untilWell()
    assert.deepEqual([(await serviceOf('processor')).length, (await serviceOf('api')).length], [3, 2])

    const load = startLoad(site.ports.api, 'scaled', Date.now() - HOUR_MS)
    await until('all three to work', async () => await psql('select count(distinct owner) from progress') === '3', 120_000)
    const [api] = await serviceOf('api')
    await docker('stop', '-t', '20', api.id)
    assert.deepEqual(load.failed, [], 'an API that is stopped drains first')
    await docker('start', api.id)
    await site.untilWell()
    for (const service of ['processor', 'api']) {
      const [{ id }] = await serviceOf(service)
      await site.crash(id)
      await untilStartedAgain(service, id)
      await site.untilWell()
    }
    await load.stop()
    await assertCounted(load, 'scaled')
    console.log(`connections: ${await psql('select count(*) from pg_stat_activity where backend_type = \'client backend\'')}`)
  })

  test('--profile monitoring: Prometheus reaches every part, and has its rules', { timeout: 300_000 }, async () => {
    const services = ['prometheus', 'alertmanager', 'postgres-exporter', 'probe', ...isOfStandIns ? [] : ['grafana']]
    await site.compose('--profile', 'monitoring', 'up', '--detach', '--no-recreate', ...services)
    await site.untilWell()
    const asked = async (path: string) => {
      const command = ['wget', '-q', '-O', '-', `http://127.0.0.1:9090${path}`]
      return JSON.parse(await site.compose('exec', '-T', 'prometheus', ...command)).data
    }
    let down: string[] = []
    await until(() => `targets to be up, but ${down.join(', ')}`, async () => {
      const { activeTargets } = await asked('/api/v1/targets?state=active')
      down = (activeTargets as Array<{ health: string, scrapeUrl: string, lastError: string }>)
        .filter(it => it.health !== 'up').map(it => `${it.scrapeUrl}: ${it.lastError}`)
      return activeTargets.length >= 8 && down.length === 0
    }, 120_000)
    assert.ok((await asked('/api/v1/rules')).groups.length > 0)
    await until('the probe to be content', async () => {
      const { result } = await asked('/api/v1/query?query=relay_probe_rounds_total%7Bresult%3D%22ok%22%7D')
      return Number(result[0]?.value[1]) > 0
    })
  })

  test('down --volumes leaves nothing behind', { timeout: 120_000 }, async () => {
    const startMs = performance.now()
    await site.close()
    console.log(`down in ${seconds(startMs)} s`)
    assert.deepEqual(await newVolumes(), [])
  })
})

const inAnHour = () => new Date(Date.now() + HOUR_MS).toISOString()

const seconds = (startMs: number) => ((performance.now() - startMs) / 1_000).toFixed(1)

const psql = (statement: string) => site.compose('exec', '-T', 'postgres',
  'psql', '--username=relay', '--dbname=relay', '--no-align', '--tuples-only', `--command=${statement}`)

/** The last whole hour that ended two hours ago. */
function hour (): { startMs: number, endMs: number } {
  const endMs = Math.floor(Date.now() / HOUR_MS - 2) * HOUR_MS
  return { startMs: endMs - HOUR_MS, endMs }
}

function hourOf (selection: string): string {
  const { startMs, endMs } = hour()
  return `/api/events/${selection}?startTime=${new Date(startMs).toISOString()}&endTime=${new Date(endMs).toISOString()}`
}
