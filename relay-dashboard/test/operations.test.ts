/** Operations, in a real browser, against the API, a processor and a real database. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { openEventLog } from 'relay-event-log'

import { TOKEN } from '../../relay-api/test/support/ask.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { until } from 'relay-test-support/until.ts'
import { openSite, violationsOf, withoutBrowser as skip } from './support/browser.ts'

const log = createLogger('test', 'silent')

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

  const page = await site.open('/operations', { failures: /404/ })
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

  // a device has its own, which nobody reads from the log before they are wanted
  await page.goto(`${site.url}/device?id=oven-2`)
  const asked: string[] = []
  page.on('request', it => { if (it.url().includes('dead-letters')) asked.push(it.url()) })
  await page.getByRole('region', { name: 'Minutes' }).getByRole('row').nth(1).waitFor()
  assert.deepEqual(asked, [])
  await page.getByRole('button', { name: 'Show its dead letters' }).click()
  await page.getByText('No dead letters').waitFor()
  await page.goto(`${site.url}/device?id=oven-1&show=letters`)
  await page.getByRole('group', { name: 'By reason' }).getByRole('button', { name: 'device-type-unknown 2' }).click()
  await rows.filter({ hasText: 'oven-1' }).first().waitFor()
  assert.match(page.url(), /\/device\?id=oven-1&show=letters&reason=device-type-unknown/)
  assert.deepEqual(await violationsOf(page), [])
  await page.getByRole('button', { name: 'Hide its dead letters' }).click()
  await rows.first().waitFor({ state: 'detached' })
})
