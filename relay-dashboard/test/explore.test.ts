/** Exploring, in a real browser, against the API and a real database. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { writeEvents } from '../../relay-api/test/support/write-events.ts'
import { until } from 'relay-test-support/until.ts'
import { openSite, readingsOf, shareSite, violationsOf, withoutBrowser as skip } from './support/browser.ts'

const startMs = Date.UTC(2026, 9, 25, 0) // two hours in which Berlin's clock shows 2 o'clock twice
const range = 'start=2026-10-25T00:00:00Z&end=2026-10-25T02:00:00Z'
const openFleet = shareSite(({ database }) =>
  writeEvents(database, readingsOf({ devices: 4, startMs, minutes: 120 })))

test(
  'numbers of a selection are a chart and a table, and its address shows the same to a colleague',
  { skip },
  async t => {
    const { open } = await openFleet(t)
    const page = await open(`/explore?${range}`)
    await page
      .getByRole('figure', { name: /^Average, minimum to maximum from 25 Oct 2026, 02:00 to 25 Oct 2026, 03:00/ })
      .waitFor()
    await page.getByText('in rows of 1m').waitFor()

    await page.getByLabel('Devices').fill('device-002')
    await page.keyboard.press('Enter')
    await page.getByLabel('Statistic').selectOption('median')
    await page.getByLabel('Interval').selectOption('1h')
    const rows = page.getByRole('region', { name: 'Rows' }).getByRole('row')
    await page.getByRole('cell', { name: '25 Oct 2026, 02:00:00 CET', exact: true }).waitFor()
    assert.deepEqual(
      (await rows.allInnerTexts()).map(it => it.split('\t').slice(0, 3)),
      [
        ['From (Europe/Berlin)', 'count', 'median'],
        ['25 Oct 2026, 02:00:00 CEST', '60', '21.45'],
        ['25 Oct 2026, 02:00:00 CET', '60', '21.45']
      ],
      'the hour that is there twice has its name twice'
    )
    assert.deepEqual(await violationsOf(page), [])

    const colleague = await open(new URL(page.url()).pathname + new URL(page.url()).search)
    await colleague.getByRole('cell', { name: '25 Oct 2026, 02:00:00 CET', exact: true }).waitFor()
    assert.equal(await colleague.getByLabel('Statistic').inputValue(), 'median')

    await page.goBack()
    await page.goBack()
    await page.getByRole('columnheader', { name: 'avg' }).waitFor()
    assert.equal(await page.getByLabel('Interval').inputValue(), 'auto')
    assert.ok(await page.getByRole('button', { name: 'Remove device-002' }).isVisible())
    assert.equal(await page.evaluate('localStorage.length'), 0)
  }
)

test('a brush on the chart is a range, and the back button undoes it', { skip }, async t => {
  const { open } = await openFleet(t)
  const page = await open(`/explore?${range}&tz=UTC`)
  const plot = page.locator('.u-over')
  const box = (await plot.boundingBox())!
  await page.mouse.move(box.x + box.width / 4, box.y + 50)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width / 2, box.y + 60, { steps: 4 })
  await page.mouse.up()
  await until(
    'a shorter range in the address',
    () => /start=2026-10-25T00%3A(29|30)/.test(page.url()) && /end=2026-10-25T0(0%3A59|1%3A00)/.test(page.url())
  )
  await page.getByRole('figure', { name: /25 Oct 2026, 00:(29|30) to/ }).waitFor()
  await page.goBack()
  await page.getByRole('figure', { name: /25 Oct 2026, 00:00 to 25 Oct 2026, 02:00/ }).waitFor()
})

test('what is shown can be taken away as CSV, as a command and as code, without a token', { skip }, async t => {
  const { open, url } = await openFleet(t)
  const page = await open(`/explore?${range}&zone=Zone+A&interval=1h&by=device`, {
    permissions: ['clipboard-read', 'clipboard-write']
  })
  const saving = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Export CSV' }).click()
  const csv = await readFile(await (await saving).path(), 'utf8')
  assert.match(csv, /^bucketStart,bucketEnd,device,count,avg,min,max/)
  assert.equal(csv.trim().split('\n').length, 5, 'two devices, two hours and a head')
  await page.getByRole('button', { name: 'Copy as curl' }).click()
  await page.getByText('curl copied').waitFor()
  const command = await page.evaluate<string>('navigator.clipboard.readText()')
  assert.ok(
    command.startsWith(
      `curl -H "Authorization: Bearer $RELAY_TOKEN" '${url}/api/v1/aggregates?zone=Zone+A&start=2026-10-25T00%3A00`
    ),
    command
  )
  await page.getByRole('button', { name: 'Copy as relay-client' }).click()
  await page.getByText('Code copied').waitFor()
  assert.match(
    await page.evaluate<string>('navigator.clipboard.readText()'),
    /relay\.aggregateRows\(\{[^]*"interval": "1h"/
  )
})

test(
  "a range without readings says what to do, and a question that can't be answered says why",
  { skip },
  async t => {
    const { open } = await openSite(t)
    const page = await open('/explore', { failures: /400/ })
    await page.getByText('Nothing of this selection was sent in this range.').waitFor()
    await page.getByLabel('Types').fill('NO_SUCH_TYPE')
    await page.keyboard.press('Enter')
    const alert = page.getByRole('alert')
    await alert.getByText("The question can't be answered").waitFor()
    assert.match(await alert.innerText(), /THERMOSTAT[^]*Change what is asked for above/)
  }
)
