import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import getPort from 'get-port'
import { RelayError } from 'relay-common'

import { chooseFleet } from '../src/fleet.ts'
import { createCommand, parseOptions, type StackOptions } from '../src/options.ts'
import { openPorts } from '../src/ports.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Sets variables of this process during `work`, because options read them. */
function withEnvironment<T> (variables: Record<string, string>, work: () => T): T {
  const before = { ...process.env }
  for (const { envVar } of createCommand().options) if (envVar) delete process.env[envVar]
  Object.assign(process.env, variables)
  try {
    return work()
  } finally {
    for (const name of Object.keys(process.env)) delete process.env[name]
    Object.assign(process.env, before)
  }
}

const read = (args: string[], variables: Record<string, string> = {}) =>
  withEnvironment(variables, () => parseOptions(args, process.env, '/somewhere'))

const portsOf = (ports: StackOptions['ports']) =>
  Object.fromEntries(Object.entries(ports).map(([name, it]) => [name, it.port]))

suite('options of npm start', () => {
  test('by default the ports are the known ones and the data stay in the repository', () => {
    const { ports, ...options } = read([])
    assert.deepEqual(portsOf(ports), {
      api: 8080,
      mqtt: 1883,
      metrics: 8084,
      processor: 8082,
      simulator: 8081,
      kafka: 9092,
      kafkaMetrics: 9404,
      postgres: 5432,
      issuer: 8083
    })
    assert.ok(Object.values(ports).every(it => !it.isAsked))
    assert.deepEqual(options, {
      dataDir: root + '.relay',
      kafkaCache: root + '.relay/kafka',
      eventLog: undefined,
      isEventLogMoved: false,
      hasSimulator: undefined,
      kafkaMetrics: false,
      issuer: false,
      fresh: false,
      logs: false,
      simulator: {}
    })
  })

  test('each has a variable with the same meaning, and takes precedence', () => {
    const variables = {
      API_PORT: '1',
      KAFKA_PORT: '2',
      POSTGRES_PORT: '3',
      RELAY_DATA_DIR: 'data',
      EVENT_LOG: 'postgres',
      RELAY_FRESH: '1',
      DEVICES: '9'
    }
    const { kafkaCache, ports, ...got } = read([], variables)
    const { api, kafka, postgres } = ports
    assert.deepEqual([api, kafka, postgres].map(it => [it.port, it.isAsked]), [[1, true], [2, true], [3, true]])
    assert.deepEqual(got, {
      dataDir: '/somewhere/data',
      eventLog: 'postgres',
      isEventLogMoved: false,
      hasSimulator: undefined,
      kafkaMetrics: false,
      issuer: false,
      fresh: true,
      logs: false,
      simulator: { DEVICES: '9' }
    })
    const won = read(['--api-port', '4', '--event-log', 'kafka', '--devices', '5'], variables)
    assert.deepEqual([won.ports.api.port, won.eventLog, won.simulator], [4, 'kafka', { DEVICES: '5' }])
  })

  test('an empty variable counts as not set, and RELAY_FRESH=0 wipes nothing', () => {
    const options = read([], { API_PORT: '', EVENT_LOG: '', RELAY_DATA_DIR: '', RELAY_FRESH: '0', DEVICES: '' })
    assert.deepEqual([options.ports.api.port, options.eventLog, options.dataDir, options.fresh, options.simulator],
      [8080, undefined, root + '.relay', false, {}])
  })

  test('a variable that switches something on is 1 or 0', () => {
    assert.equal(read([], { RELAY_FRESH: 'on' }).fresh, true)
    assert.equal(read([], { RELAY_FRESH: 'No' }).fresh, false)
    for (const name of ['RELAY_FRESH', 'RELAY_LOGS', 'RELAY_ISSUER', 'RELAY_SIMULATOR']) {
      const { status, stderr } = spawnSync(
        process.execPath, [`${root}relay-stack/src/main.ts`], { env: { [name]: 'maybe' }, encoding: 'utf8' }
      )
      assert.deepEqual([status, stderr.split('\n')[0]], [1, `error: ${name} must be 1 or 0, got maybe`])
    }
  })

  test('a relative folder is based on the folder where npm start was typed', () => {
    assert.equal(read(['--data-dir', 'mine']).dataDir, '/somewhere/mine')
    assert.equal(read(['--data-dir', '/abs/mine']).dataDir, '/abs/mine')
  })

  test('settings of the simulator are passed on unchanged', () => {
    const args = '--devices 1000 --zones 7 --rate 0.5 --seed 3 --backfill 90m --late 1% --duplicates 2% --poison 0.1%'
    const { simulator } = read(args.split(' '))
    assert.deepEqual(simulator, {
      DEVICES: '1000', ZONES: '7', RATE: '0.5', SEED: '3', BACKFILL: '90m', LATE: '1%', DUPLICATES: '2%', POISON: '0.1%'
    })
  })
})

test('a fleet is simulated unless an option or variable says otherwise', () => {
  const has = (args: string[], variables = {}) => read(args, variables).hasSimulator
  assert.deepEqual([has([]), has(['--simulator']), has(['--no-simulator'])], [undefined, true, false])
  assert.deepEqual([has([], { RELAY_SIMULATOR: '1' }), has([], { RELAY_SIMULATOR: '0' })], [true, false])
  assert.equal(has(['--simulator'], { RELAY_SIMULATOR: '0' }), true)
})

suite('the fleet of the stack', () => {
  const choose = (args: string[], variables: Record<string, string> = {}, areServersOurs = true) =>
    chooseFleet(read(args, variables), variables, areServersOurs)

  test('external servers get no simulated events unless requested', () => {
    assert.equal(choose([])?.firstDevice, 'thermostat-001')
    assert.equal(choose([], {}, false), undefined)
    assert.equal(choose(['--simulator'], {}, false)?.firstDevice, 'thermostat-001')
    assert.equal(choose(['--devices', '9'], {}, false)?.eventsPerSecond, 9)
    for (const args of [['--no-simulator'], ['--devices', '0'], ['--no-simulator', '--devices', '9']]) {
      assert.equal(choose(args), undefined)
    }
  })

  test('uses the types that Relay accepts', () => {
    assert.equal(choose([], { DEVICE_TYPES: 'HUMIDITY' })?.firstDevice, 'humidity-0001')
    assert.equal(choose([], { DEVICE_TYPES: 'HUMIDITY,CAR_FUEL' })?.firstDevice, 'car-fuel-001', 'clients know it')
  })

  test('settings that the simulator would refuse are refused before anything starts, even without a fleet', () => {
    const wrong = [
      ['--late', 'often'], ['--backfill', 'yesterday'], ['--rate', '-1'], ['--no-simulator', '--seed', 'x'],
      ['--devices', '1.5']
    ]
    for (const args of wrong) assert.throws(() => choose(args), { code: 'RELAY_CONFIG_INVALID' }, args.join(' '))
    assert.throws(() => chooseFleet(read([]), { EVENT_LOG: 'redis' }, true), {
      message: 'invalid settings: EVENT_LOG must be one of kafka, postgres'
    })
  })
})

suite('ports of the stack', () => {
  const wanted = (port: number, isAsked = true, option = '--port') => ({ what: 'a part', port, option, isAsked })

  test('one port for two parts is refused by name', async () => {
    const port = await getPort({ host: '127.0.0.1' })
    await assert.rejects(openPorts({
      api: { ...wanted(port, true, '--api-port'), what: 'the API' },
      kafka: { ...wanted(port, true, '--kafka-port'), what: 'Kafka' }
    }, assert.fail), {
      code: 'RELAY_PORT_IN_USE',
      message: `port ${port} is set for the API and for Kafka; use another with --kafka-port`
    })
  })

  test('0 becomes a port that nobody else gets', async () => {
    const fixed = await getPort({ host: '127.0.0.1' })
    const ports = await openPorts({ a: wanted(0), b: wanted(fixed), c: wanted(0), d: wanted(0) }, assert.fail)
    assert.equal(ports.of('b'), fixed)
    const all = (['a', 'b', 'c', 'd'] as const).map(ports.of)
    assert.equal(new Set(all).size, 4)
    assert.ok(all.every(port => port > 0))
  })

  test('a default port moves if it is in use, at start or when its part binds it; a requested one does not', async t => {
    const taken = await listen(t, 0)
    const said: string[] = []
    const say = (line: string) => said.push(line)
    const ports = await openPorts(
      { health: wanted(taken, false, '--health-port'), other: wanted(taken + 1, false) }, say
    )
    assert.ok(ports.of('health') > taken + 1, 'nor the one that another part wants')
    assert.match(
      said[0], new RegExp(`^port ${taken} is in use: using port ${ports.of('health')} for a part \\(--health-port`)
    )

    const before = ports.of('health')
    let tries = 0
    const bound = await ports.bind(['health', 'other'], async () => {
      if (tries++ === 0) await listen(t, ports.of('health')) // somebody is faster than the part
      return await listen(t, ports.of('health'))
    })
    assert.equal(tries, 2)
    assert.equal(bound, ports.of('health'))
    assert.notEqual(bound, before)

    const port = await getPort({ host: '127.0.0.1' })
    const asked = await openPorts({ health: wanted(port) }, assert.fail)
    await listen(t, port)
    await assert.rejects(asked.bind(['health'], () => listen(t, port)), { code: 'RELAY_PORT_IN_USE' })
  })
})

/** Listens during a test, like a part. */
async function listen (t: TestContext, port: number): Promise<number> {
  const server = createServer()
  t.after(() => { server.close() })
  await new Promise<void>((resolve, reject) => {
    server.once('error', () => reject(new RelayError('RELAY_PORT_IN_USE', `port ${port} is in use`)))
    server.listen(port, '127.0.0.1', resolve)
  })
  return (server.address() as AddressInfo).port
}
