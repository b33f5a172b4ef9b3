/** Fleet, device, live and operations, in a real browser, against the API and a real database. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import type { Page } from 'playwright-core'
import { createLogger, openEventLog } from 'relay-common'

import { TOKEN } from '../../relay-api/test/support/ask.ts'
import { writeEvents } from '../../relay-api/test/support/write-events.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { until } from '../../test-support/until.ts'
import { openSite, readingsOf, violationsOf, withoutBrowser as skip } from './support/browser.ts'

const log = createLogger('test', 'silent')
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** Four devices that send up to now, and one that has been silent for two hours. */
async function openFleet (t: TestContext) {
  const site = await openSite(t)
  const nowMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS
  const silent = readingsOf({ devices: 1, startMs: nowMs - 3 * HOUR_MS, minutes: 60 }).map(it => ({
    ...it,
    deviceId: 'silent-one',
    zone: 'Attic'
  }))
  await writeEvents(site.database, [
    ...readingsOf({ devices: 4, startMs: nowMs - HOUR_MS, minutes: 60 }),
    ...silent
  ])
  return { ...site, nowMs }
}

const devicesOf = async (page: Page) =>
  await page.getByRole('table', { name: 'Devices' }).getByRole('link').allInnerTexts()

test(
  'the fleet shows what there is, the silent ones first, and finds devices by how they begin',
  { skip },
  async t => {
    const { open } = await openFleet(t)
    const page = await open('/')
    await page.getByRole('heading', { name: '3 zones' }).waitFor()
    const table = page.getByRole('table', { name: 'Devices' })
    await table.getByRole('link', { name: 'device-004' }).waitFor()
    assert.equal((await devicesOf(page))[0], 'silent-one')
    assert.match(
      await table.getByRole('row').nth(1).innerText(),
      /silent-one\s+Attic\s+THERMOSTAT\s+20\.9\s+⚠ 2 hr ago, silent/
    )
    await table.locator('.sparkline path').first().waitFor()

    await page.getByLabel('Id begins with').fill('device-00')
    await page.getByText('4 devices', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Zone B' }).click()
    await page.getByText('2 devices', { exact: true }).waitFor()
    assert.deepEqual((await devicesOf(page)).sort(), ['device-002', 'device-004'])
    assert.match(page.url(), /prefix=device-00.*zone=Zone\+B/)
    await page.getByLabel('Id begins with').fill('nothing-like-it')
    await page.getByText('No such device').waitFor()
  }
)

test('a page without data says what to do next', { skip }, async t => {
  const { open } = await openSite(t)
  const fleet = await open('/')
  await fleet.getByText('No devices yet').waitFor()
  const device = await open('/device?id=nobody', { failures: /404/ })
  await device.getByRole('alert').first().getByText('No data').waitFor()
  const live = await open('/live')
  await live.getByText('Nothing has come yet').waitFor()
  const operations = await open('/operations', { failures: /404|503/ })
  await operations.getByText('No keys yet').waitFor()
})

test('a device shows its newest reading, its distribution and where it has been', { skip }, async t => {
  const { open, database, nowMs } = await openFleet(t)
  await writeEvents(
    database,
    readingsOf({ devices: 1, startMs: nowMs - 2 * HOUR_MS, minutes: 10 }).map(it => ({ ...it, zone: 'Old place' }))
  )
  const page = await open('/')
  await page.getByRole('link', { name: 'device-001' }).click()
  await page.getByRole('heading', { name: 'device-001', exact: true }).waitFor()
  await page.getByText('20.9').first().waitFor()
  await page.getByRole('img', { name: '70 readings by value' }).waitFor()
  await page.getByRole('img', { name: 'Average by hour of day' }).waitFor()
  assert.deepEqual(
    await page.getByRole('region', { name: 'Places' }).getByRole('row').locator('td:first-child').allInnerTexts(),
    ['Zone A', 'Old place']
  )
  await page.goBack()
  await page.getByRole('heading', { name: 'Fleet' }).waitFor()
})

test(
  'live shows readings as they are committed, and goes on where it was after its connection has gone',
  { skip },
  async t => {
    const { open, database, app, nowMs } = await openFleet(t)
    const page = await open('/live?device=device-001', { failures: /ERR_/ })
    await page.getByText('● Live').waitFor()
    const send = (value: number) =>
      writeEvents(database, [
        {
          deviceId: 'device-001',
          zone: 'Zone A',
          deviceType: 'THERMOSTAT',
          value,
          timestampMs: nowMs + (value - 100) * 1_000,
          sourcePartition: value - 99
        }
      ])
    await send(100)
    await page.locator('.readout').getByText('100', { exact: true }).waitFor()
    app.server.closeAllConnections()
    await send(101)
    await page.locator('.readout').getByText('101', { exact: true }).waitFor()
    await page.getByText('reconnected 1 time').waitFor()
    assert.deepEqual(await violationsOf(page), [])
  }
)

test('operations has what is wrong at the top, and makes, changes and ends keys', { skip }, async t => {
  const { open, app } = await openSite(t)
  const page = await open('/operations', { failures: /404|503/ })
  await page.getByRole('alert').getByText("Events can't be sent by HTTP").waitFor()
  const absent = page.getByRole('alert').filter({ hasText: 'No processor is running' })
  await absent.getByRole('link', { name: 'What to do' }).click()
  await page.getByRole('heading', { name: 'RelayProcessorAbsent' }).waitFor()
  assert.match(page.url(), /\/runbook#relayprocessorabsent$/)
  assert.deepEqual(await violationsOf(page), [])
  await page.goBack()
  await page.getByLabel('Name of a new key').fill('gateway 7')
  await page.getByLabel('events:write').check()
  await page.getByRole('button', { name: 'Make a key' }).click()
  const key = await page.locator('.secret').innerText()
  const may = async () =>
    (await app.inject({ url: '/api/v1/zones', headers: { authorization: `Bearer ${key}` } })).statusCode
  assert.equal(await may(), 200)
  await page.getByRole('button', { name: 'Rotate gateway 7' }).click()
  await page.getByText('the former secret until').waitFor()
  assert.notEqual(await page.locator('.secret').innerText(), key)
  await page.getByRole('button', { name: 'I have it' }).click()
  await page.getByRole('button', { name: 'Revoke gateway 7' }).click()
  await page.getByRole('button', { name: 'Revoke for good' }).click()
  await page.getByRole('cell', { name: /^revoked/ }).waitFor()
  assert.equal(await page.getByText(key).count(), 0)

  const made = await app.inject({
    method: 'POST',
    url: '/api/v1/keys',
    headers: { authorization: `Bearer ${TOKEN}` },
    payload: { name: 'reader', scopes: ['events:read'] }
  })
  const reader = await open('/operations', { token: made.json().key, failures: /403|404|503/ })
  await reader.getByRole('alert').getByText('Not for this token').waitFor()
})

test('operations shows partitions with their owner, programs, and dead letters, replayed after a dry run', { skip }, async t => {
  const site = await openSite(t, { EVENT_LOG: 'postgres' })
  await using opened = new AsyncDisposableStack()
  const config = readProcessorConfig(
    { DATABASE_URL: site.databaseUrl, EVENT_LOG: 'postgres', HEALTH_PORT: '0', FLUSH_INTERVAL_MS: '50' }
  )
  opened.adopt(await startProcessor(config, log), it => it.close())
  const eventLog = opened.adopt(await openEventLog(config, site.database, log), it => it.close())
  const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
  const event = {
    deviceId: 'oven-1', deviceType: 'TOASTER', zone: 'Kitchen', value: 1, timestamp: new Date().toISOString()
  }
  await producer.send(config.EVENTS_TOPIC, [
    { key: 'oven-1', value: JSON.stringify(event) },
    { key: 'oven-2', value: JSON.stringify({ ...event, deviceId: 'oven-2', deviceType: 'THERMOSTAT' }) },
    { key: 'broken', value: '{"deviceId":' }
  ])
  const letters = async () => (await site.ask('/api/v1/dead-letters')).body.letters?.length === 2
  await until('two dead letters', letters)

  const page = await site.open('/operations')
  const partitions = page.getByRole('region', { name: 'Partitions' })
  await partitions.getByText(`:${process.pid}`).first().waitFor()
  assert.equal(await partitions.getByRole('row').count(), config.EVENTS_PARTITIONS + 1)
  await page.getByRole('region', { name: 'Programs' }).getByRole('cell', { name: 'relay-processor' }).waitFor()
  assert.deepEqual((await page.getByRole('group', { name: 'By reason' }).getByRole('button').allInnerTexts()).sort(),
    ['device-type-unknown 1', 'not-json 1'])
  await page.getByRole('button', { name: 'device-type-unknown' }).click()
  const rows = page.getByRole('region', { name: 'Letters' }).getByRole('row')
  await rows.filter({ hasText: 'not-json' }).waitFor({ state: 'detached' })
  assert.match(page.url(), /reason=device-type-unknown/)

  await rows.getByRole('button').click()
  const letter = page.getByRole('region', { name: /^Letter / })
  await letter.getByText(JSON.stringify(event)).waitFor()
  assert.deepEqual(await violationsOf(page), [])
  const before = await eventLog.readOffsets(config.EVENTS_TOPIC)
  await letter.getByRole('button', { name: 'Dry run of a replay' }).click()
  await letter.getByText('A replay would send 1 letter').waitFor()
  assert.deepEqual(await eventLog.readOffsets(config.EVENTS_TOPIC), before)
  await letter.getByRole('button', { name: 'Replay 1 letter' }).click()
  await letter.getByText('1 letter sent to the events topic').waitFor()
  await rows.filter({ hasText: /no0:/ }).first().waitFor() // it is refused again, as a new letter
  await until('the letter to be marked', async () =>
    (await site.ask('/api/v1/dead-letters')).body.letters.filter((it: any) => it.replayedAt !== null).length === 1)
})

test('a device that is new comes into the fleet by itself, and what somebody looks at stays where it is', { skip }, async t => {
  const { open, database, url } = await openSite(t)
  const nowMs = Date.now()
  await writeEvents(database, readingsOf({ devices: 200, startMs: nowMs - MINUTE_MS, minutes: 1 }))
  const page = await open('/')
  await page.clock.install()
  await page.goto(`${url}/?order=id`)
  await page.getByText('200 devices', { exact: true }).waitFor()
  const rows = page.getByRole('region', { name: 'Devices, a row each' })
  await rows.evaluate(it => { it.scrollTop = 4_000 })
  const looked = page.getByRole('link', { name: 'device-110' })
  await looked.waitFor()
  const { y } = (await looked.boundingBox())!
  await writeEvents(database, readingsOf({ devices: 3, startMs: nowMs, minutes: 1 }).map(it => ({ ...it, deviceId: `a-new-${it.deviceId}`, sourcePartition: 1 })))
  await page.clock.fastForward(31_000)
  await page.getByText('203 devices', { exact: true }).waitFor()
  assert.equal((await looked.boundingBox())!.y, y)
  await rows.evaluate(it => { it.scrollTop = 0 })
  await page.getByRole('link', { name: 'a-new-device-001' }).waitFor()
})

test(
  'every view is for everybody: axe finds nothing, by day and by night, and a narrow screen scrolls down alone',
  { skip },
  async t => {
    const { open } = await openFleet(t)
    const views = [
      ['/', '.sparkline path'],
      ['/explore?by=zone&against=previous', 'caption'],
      ['/live', '.readout .value'],
      ['/device?id=device-001', '.bars rect'],
      ['/operations', '.new-key']
    ]
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await open('/', { colorScheme, failures: /404|503/ })
      for (const [view, part] of views) {
        await page.goto(new URL(view, page.url()).href)
        await page.locator(part).first().waitFor()
        assert.deepEqual(await violationsOf(page), [], `${view}, ${colorScheme}`)
        if (colorScheme === 'dark') continue
        await page.setViewportSize({ width: 320, height: 700 })
        assert.ok(
          (await page.evaluate<number>('document.documentElement.scrollWidth')) <= 320,
          `${view} is wider than its screen`
        )
        await page.setViewportSize({ width: 1_280, height: 900 })
      }
    }
  }
)
