import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'

import { readSimulatorConfig } from '../src/config.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

test('the default is the known fleet, one event per second and device, no history, no faults', () => {
  const config = readSimulatorConfig({}, [])
  const { DEVICES, RATE, backfillMs, faultShares, EXIT_AFTER_BACKFILL, HEALTH_PORT } = config
  assert.deepEqual([DEVICES, RATE, backfillMs, EXIT_AFTER_BACKFILL, HEALTH_PORT], [3, 1, 0, false, 8081])
  assert.deepEqual(faultShares, { late: 0, duplicates: 0, poison: 0 })
})

test('an option has the meaning of its variable, and takes precedence', () => {
  const byVariable = readSimulatorConfig({
    DEVICES: '1000',
    ZONES: '12',
    RATE: '0.5',
    SEED: '7',
    BACKFILL: '24h',
    EXIT_AFTER_BACKFILL: 'true',
    CATCH_UP_MAX: '10m',
    LATE: '1%',
    DUPLICATES: '2%',
    POISON: '0.1%'
  }, [])
  const args = '--devices 1000 --zones 12 --rate 0.5 --seed 7 --backfill 24h --once --catch-up-max 10m ' +
    '--late 1% --duplicates 2% --poison 0.1%'
  assert.deepEqual(readSimulatorConfig({}, args.split(' ')), byVariable)
  assert.deepEqual(readSimulatorConfig({ DEVICES: '5', LATE: '50%' }, args.split(' ')), byVariable)
  assert.deepEqual(byVariable.faultShares, { late: 0.01, duplicates: 0.02, poison: 0.001 })
  assert.equal(byVariable.backfillMs, 86_400_000)
})

test('an invalid setting is reported by name', () => {
  const cases: [environment: NodeJS.ProcessEnv, args: string[], said: RegExp][] = [
    [{}, ['--backfill', '24x'], /BACKFILL \(--backfill\) must be a number and a unit.*got "24x"/],
    [{ BACKFILL: 'yesterday' }, [], /BACKFILL \(--backfill\) must be .*got "yesterday"/],
    [{}, ['--late', '1'], /LATE \(--late\) must be a percentage.*got "1"/],
    [{}, ['--poison', '200%'], /POISON \(--poison\) must be .*got "200%"/],
    [{}, ['--catch-up-max', 'long'], /CATCH_UP_MAX \(--catch-up-max\) must be .*got "long"/],
    [{}, ['--devices', '0'], /DEVICES must be >= 1/],
    [{}, ['--devices', 'many'], /DEVICES must be integer/],
    [{ RATE: '2000' }, [], /RATE must be <= 1000/],
    [{}, ['--device', '3'], /unknown option '--device'/],
    [{}, ['--devices'], /argument missing/],
    [{}, ['start'], /too many arguments/],
    [{}, ['--once'], /BACKFILL \(--backfill\) is 0/]
  ]
  for (const [environment, args, said] of cases) {
    assert.throws(() => readSimulatorConfig(environment, args), { code: 'RELAY_CONFIG_INVALID', message: said })
  }
})

test('--help names every option with its variable, and exits 0', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, '--help'], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  const text = stdout.replace(/\s+/g, ' ')
  for (const said of [
    '--devices <count>', '(DEVICES, default 3)', '--backfill <duration>', '--once',
    '(EXIT_AFTER_BACKFILL, default false)', '--poison <percent>'
  ]) {
    assert.ok(text.includes(said), `${said} is not in ${text}`)
  }
})

test('an invalid setting ends the program with one line and exit code 1', () => {
  const { status, stdout } = spawnSync(process.execPath, [main, '--rate', 'fast'], { encoding: 'utf8' })
  assert.equal(status, 1)
  const lines = stdout.trim().split('\n')
  assert.equal(lines.length, 1)
  assert.match(lines[0], /RATE must be number/)
})
