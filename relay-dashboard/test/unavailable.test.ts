/** An API that does not answer, or refuses to, in a real browser. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test, type TestContext } from 'node:test'

import type { Page } from 'playwright-core'
import { createLogger } from 'relay-common'

import { createApp } from '../../relay-api/src/app.ts'
import { readApiConfig } from '../../relay-api/src/config.ts'
import { TOKEN } from '../../relay-api/test/support/ask.ts'
import { openSite, shareSite, withoutBrowser as skip, type Site } from './support/browser.ts'
import { writeFleet } from './support/fleet.ts'

const openFleet = shareSite(async api => { await writeFleet(api) })

test('an API that goes away and comes back is waited for, and what was shown stays', { skip }, async t => {
  const { open, app, url, database } = await openSite(t)
  const page = await open('/explore', { failures: /ERR_|503|429/ })
  await page.getByText('Nothing of this selection was sent').waitFor()
  await app.close()
  await page.getByLabel('Statistic').selectOption('count')
  await page.getByRole('alert').getByText('The API does not answer').waitFor()
  assert.ok(await page.getByText('Nothing of this selection was sent').isVisible())

  const again = await createApp(readApiConfig({ API_TOKENS: TOKEN }), database, createLogger('test', 'silent'))
  t.after(() => again.close())
  await again.listen({ host: '127.0.0.1', port: Number(new URL(url).port) })
  await page.getByRole('alert').waitFor({ state: 'detached' })
  await page.getByText('Nothing of this selection was sent').waitFor()
})

/** As a proxy in between would: refuses requests of the page with this status, until it is set to 0. */
function refuse (t: TestContext, { app }: Site): { status: number } {
  const refusing = { status: 0 }
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    if (refusing.status === 0 || !request.url!.startsWith('/api/v1/')) return
    response.writeHead(refusing.status, { 'retry-after': '1', 'content-type': 'application/problem+json' })
    response.end(JSON.stringify({ status: refusing.status, code: 'RELAY_TEST', detail: 'there is too much to do' }))
  }
  app.server.prependListener('request', listener)
  t.after(() => { app.server.off('request', listener) })
  return refusing
}

/** Follows a link within the page, which loads nothing but data. */
const follow = (page: Page, path: string) =>
  page.evaluate(`history.pushState(null, '', '${path}'); dispatchEvent(new PopStateEvent('popstate'))`)

const views = [
  ['/', '.sparkline path'],
  ['/explore', '.readout .value'],
  ['/live', '.readout .value'],
  ['/device?id=device-001', '.bars rect'],
  ['/operations', '.new-key']
]

const titles = {
  403: /Not for this token/,
  429: /Too many requests[^]*There is too much to do\. This page tries again in 1 s\./,
  503: /The API is busy or its database is away[^]*There is too much to do\. This page tries again in 1 s\./
}

for (const [status, title] of Object.entries(titles)) {
  test(`each view says what to do about ${status}, and shows its data when it is answered`, { skip }, async t => {
    const site = await openFleet(t)
    const refusing = refuse(t, site)
    const page = await site.open('/explore', { failures: /403|404|429|503/ })
    for (const [view, part] of views) {
      refusing.status = Number(status)
      await follow(page, view)
      const alerts = page.getByRole('alert').filter({ hasText: title })
      await alerts.first().waitFor()
      refusing.status = 0
      if (status === '403') await page.reload() // nobody asks again by itself for what is forbidden
      await page.locator(part).first().waitFor()
      await alerts.first().waitFor({ state: 'detached' })
    }
  })
}

test('each view asks to sign in again when its token is no longer accepted', { skip }, async t => {
  const site = await openFleet(t)
  const refusing = refuse(t, site)
  const page = await site.open('/explore', { failures: /401|404|503/ })
  for (const [view, part] of views) {
    refusing.status = 401
    await follow(page, view)
    await page.getByRole('alert').getByText('You were signed out').waitFor()
    refusing.status = 0
    await page.getByLabel('Token or API key').fill(TOKEN)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator(part).first().waitFor()
  }
})
