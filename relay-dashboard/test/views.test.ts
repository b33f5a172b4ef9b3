/** Fleet, device and live, in a real browser, against the API and a real database. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Page } from 'playwright-core'

import { writeEvents } from '../../relay-api/test/support/write-events.ts'
import { openSite, readingsOf, shareSite, violationsOf, withoutBrowser as skip } from './support/browser.ts'
import { writeFleet } from './support/fleet.ts'

const MINUTE_MS = 60_000

const openFleet = shareSite(async api => { await writeFleet(api) })

const devicesOf = async (page: Page) =>
  await page.getByRole('table', { name: 'Devices' }).getByRole('link').allInnerTexts()

test(
  'the fleet shows what there is, the silent ones first, and finds devices by how they begin',
  { skip },
  async t => {
    const { open } = await openFleet(t)
    const page = await open('/')
    await page.getByRole('heading', { name: '4 zones' }).waitFor()
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
  const { open } = await openFleet(t)
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
  const newest = page.getByRole('region', { name: 'Minutes' }).locator('tbody tr')
  await newest.first().waitFor()
  assert.deepEqual(
    (await newest.locator('td:nth-child(2)').allInnerTexts()).slice(0, 12),
    ['20.9', '20.8', '20.7', '20.6', '20.5', '20.4', '20.3', '20.2', '20.1', '20', '20.9', '20.8']
  )
  assert.equal(await newest.count(), 20)
  await page.goBack()
  await page.getByRole('heading', { name: 'Fleet' }).waitFor()
})

test(
  'live shows readings as they are committed, and goes on where it was after its connection has gone',
  { skip },
  async t => {
    const { open, database, app } = await openSite(t)
    const { nowMs } = await writeFleet({ database })
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
