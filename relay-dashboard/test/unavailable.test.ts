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

const views = [
  ['/', '.sparkline path'],
  ['/explore', '.readout .value'],
  ['/live', '.readout .value'],
  ['/device?id=device-001', '.bars rect'],
  ['/operations', '.new-key']
]

const openFleet = shareSite(async api => { await writeFleet(api) })

test('an API that goes away and comes back is waited for in each view, and what was shown stays', { skip }, async t => {
  const { open, app, url, database, databaseUrl } = await openSite(t)
  await writeFleet({ database })
  const pages: Page[] = []
  for (const [view, part] of views) {
    const page = await open(view, { failures: /ERR_|503|429|404/ })
    await page.locator(part).first().waitFor()
    pages.push(page)
  }
  const explore = pages[1]
  await app.close()
  await explore.getByLabel('Statistic').selectOption('count')
  await explore.getByRole('alert').getByText('The API does not answer').waitFor()
  for (const [n, page] of pages.entries()) assert.ok(await page.locator(views[n][1]).first().isVisible(), views[n][0])

  const config = readApiConfig({ DATABASE_URL: databaseUrl, API_TOKENS: TOKEN })
  await using opened = new AsyncDisposableStack() // before its database
  const again = await createApp(config, database, createLogger('test', 'silent'))
  opened.defer(() => again.close())
  await again.listen({ host: '127.0.0.1', port: Number(new URL(url).port) })
  await explore.getByRole('alert').waitFor({ state: 'detached' })
  await explore.getByRole('row', { name: 'count' }).first().waitFor()
  for (const [n, page] of pages.entries()) {
    await page.getByRole('alert').filter({ hasText: 'The API does not answer' }).waitFor({ state: 'detached' })
    await page.locator(views[n][1]).first().waitFor()
  }
  await pages[2].getByText('● Live').waitFor()
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
