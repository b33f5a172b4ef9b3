import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import getPort from 'get-port'

import { createCommand, readOptions } from '../src/options.ts'
import { reservePorts } from '../src/ports.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Sets variables of this process for the length of `work`: that is where options look. */
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
  withEnvironment(variables, () => readOptions(args, process.env, '/somewhere'))

suite('options of npm start', () => {
  test('without any, the ports are the known ones and the data stay in the repository', () => {
    assert.deepEqual(read([]), {
      apiPort: 8080,
      kafkaPort: 9092,
      postgresPort: 5432,
      dataDir: root + '.relay',
      kafkaCache: root + '.relay/kafka',
      eventLog: undefined,
      issuer: false,
      issuerPort: 8083,
      fresh: false,
      logs: false,
      simulator: {}
    })
  })

  test('each has a variable of the same meaning, and wins over it', () => {
    const variables = {
      API_PORT: '1',
      KAFKA_PORT: '2',
      POSTGRES_PORT: '3',
      RELAY_DATA_DIR: 'data',
      EVENT_LOG: 'postgres',
      RELAY_FRESH: '1',
      DEVICES: '9'
    }
    const { kafkaCache, ...got } = read([], variables)
    assert.deepEqual(got, {
      apiPort: 1,
      kafkaPort: 2,
      postgresPort: 3,
      dataDir: '/somewhere/data',
      eventLog: 'postgres',
      issuer: false,
      issuerPort: 8083,
      fresh: true,
      logs: false,
      simulator: { DEVICES: '9' }
    })
    const won = read(['--api-port', '4', '--event-log', 'kafka', '--devices', '5'], variables)
    assert.deepEqual([won.apiPort, won.eventLog, won.simulator], [4, 'kafka', { DEVICES: '5' }])
  })

  test('an empty variable counts as not set, and RELAY_FRESH=0 wipes nothing', () => {
    const options = read([], { API_PORT: '', EVENT_LOG: '', RELAY_DATA_DIR: '', RELAY_FRESH: '0', DEVICES: '' })
    assert.deepEqual([options.apiPort, options.eventLog, options.dataDir, options.fresh, options.simulator],
      [8080, undefined, root + '.relay', false, {}])
  })

  test('a relative folder is meant from where npm start was typed', () => {
    assert.equal(read(['--data-dir', 'mine']).dataDir, '/somewhere/mine')
    assert.equal(read(['--data-dir', '/abs/mine']).dataDir, '/abs/mine')
  })

  test('what the simulator is told is passed on as it was written', () => {
    const args = '--devices 1000 --zones 7 --rate 0.5 --seed 3 --backfill 90m --late 1% --duplicates 2% --poison 0.1%'
    const { simulator } = read(args.split(' '))
    assert.deepEqual(simulator, {
      DEVICES: '1000', ZONES: '7', RATE: '0.5', SEED: '3', BACKFILL: '90m', LATE: '1%', DUPLICATES: '2%', POISON: '0.1%'
    })
  })
})

suite('ports of the stack', () => {
  test('one port for two parts is refused by name', async () => {
    const port = await getPort({ host: '127.0.0.1' })
    await assert.rejects(reservePorts([
      { what: 'the API', port, option: '--api-port' }, { what: 'Kafka', port, option: '--kafka-port' }
    ]), {
      code: 'RELAY_PORT_IN_USE',
      message: `port ${port} can't be for the API and for Kafka; choose another with --kafka-port`
    })
  })

  test('0 becomes a port that nobody else gets', async () => {
    const fixed = await getPort({ host: '127.0.0.1' })
    const wanted = [0, fixed, 0, 0].map(port => ({ what: 'a part', port, option: '--port' }))
    const ports = await reservePorts(wanted)
    assert.equal(ports[1], fixed)
    assert.equal(new Set(ports).size, 4)
    assert.ok(ports.every(port => port > 0))
  })
})
