import assert from 'node:assert/strict'
import { test } from 'node:test'

import { openSite } from '../../relay-processor/test/support/open-processor.ts'
import { documents, runCli } from './support/run-cli.ts'

test('a device is traced for a while, listed, and no longer traced when that is over', async t => {
  const site = (await openSite(t, 'postgres'))!
  const traced = await runCli(site, ['trace', 'device', 'thermostat-ü', '--for', '1h', '--json'])
  const [{ deviceId, until }] = documents(traced)
  assert.equal(deviceId, 'thermostat-ü')
  assert.ok(Math.abs(Date.parse(until) - Date.now() - 3_600_000) < 600_000)
  const listed = async () => documents(await runCli(site, ['trace', 'list', '--json']))[0].map((it: any) => it.deviceId)
  assert.deepEqual(await listed(), ['thermostat-ü'])
  assert.equal((await runCli(site, ['trace', 'device', 'thermostat-ü', '--for', '0s'])).code, 0)
  assert.deepEqual(await listed(), [])
  for (const wrong of [['a\u001b[2J'], ['thermostat-1', '--for', '25h'], ['thermostat-1', '--for', 'ever']]) {
    assert.equal((await runCli(site, ['trace', 'device', ...wrong])).code, 64, wrong.join(' '))
  }
})
