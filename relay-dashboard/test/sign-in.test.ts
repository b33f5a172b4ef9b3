/** Who gets to see what, in a real browser. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import getPort from 'get-port'
import { WELL_KNOWN_TOKEN } from 'relay-access'
import { createLogger } from 'relay-common'

import { TOKEN } from '../../relay-api/test/support/ask.ts'
import { readIssuerConfig } from '../../relay-issuer/src/config.ts'
import { startIssuer } from '../../relay-issuer/src/issuer.ts'
import { until } from 'relay-test-support/until.ts'
import { openSite, shareSite, violationsOf, withoutBrowser as skip } from './support/browser.ts'

const openEmptySite = shareSite()

test(
  'signing in by a token lasts as long as the tab, and one that is not accepted is refused with what to do',
  { skip },
  async t => {
    const { open } = await openEmptySite(t)
    const page = await open('/explore?zone=Zone+A', { token: null, failures: /401/ })
    const field = page.getByLabel('Token or API key')
    await field.fill('some-token-that-nobody-gave')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').getByText('This token is not accepted').waitFor()
    assert.deepEqual(await violationsOf(page), [])

    await field.fill(TOKEN)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: 'Remove Zone A' }).waitFor()
    await page.reload()
    await page.getByRole('button', { name: 'Remove Zone A' }).waitFor()
    const other = await page.context().newPage()
    await other.goto(page.url())
    await other.getByLabel('Token or API key').waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await field.waitFor()
    assert.equal(await page.evaluate('sessionStorage.getItem("relay.token")'), null)
  }
)

test('the local stack signs in by itself and says so', { skip }, async t => {
  const { open } = await openSite(t, { API_TOKENS: WELL_KNOWN_TOKEN })
  const page = await open('/explore', { token: null })
  await page.getByText('Signed in by itself: local stack').waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.reload()
  await page.getByRole('button', { name: 'Sign in to the local stack' }).click()
  await page.getByText('Signed in by itself: local stack').waitFor()
})

test('a key that is over signs its page out, and says why', { skip }, async t => {
  const { app, open, database } = await openEmptySite(t)
  const made = await app.inject({
    method: 'POST',
    url: '/api/v1/keys',
    headers: { authorization: `Bearer ${TOKEN}` },
    payload: { name: 'page', scopes: ['events:read'], expiresAt: new Date(Date.now() + 3_600_000).toISOString() }
  })
  const { key } = made.json()
  const page = await open('/explore', { token: key, failures: /401/ })
  await page.getByText('Nothing of this selection was sent').waitFor()
  await database.query('update api_keys set expires_at = now() where expires_at is not null')
  const isOver = async () =>
    (await app.inject({ url: '/api/v1/zones', headers: { authorization: `Bearer ${key}` } })).statusCode === 401
  await until('the key to be over', isOver)
  await page.getByLabel('Statistic').selectOption('count')
  await page.getByRole('alert').getByText('You were signed out').waitFor()
})

test('a key without the scope to read, and one of another zone, are told what is missing', { skip }, async t => {
  const { app, open } = await openEmptySite(t)
  const make = async (payload: object) =>
    (
      await app.inject({
        method: 'POST',
        url: '/api/v1/keys',
        headers: { authorization: `Bearer ${TOKEN}` },
        payload: { name: 'page', ...payload }
      })
    ).json().key as string
  const writer = await open('/explore', { token: await make({ scopes: ['events:write'] }), failures: /403/ })
  await writer.getByRole('alert').getByText('Not for this token').waitFor()
  const page = await open('/explore?zone=Zone+B', {
    token: await make({ scopes: ['events:read'], zones: ['Zone A'] }),
    failures: /403/
  })
  assert.match(await page.getByRole('alert').innerText(), /ask an administrator for a key with this scope or zone/)
})

test('people sign in at an OpenID provider, see what their account may, and get new tokens', { skip }, async t => {
  const port = await getPort({ host: '127.0.0.1' })
  const settings = readIssuerConfig({ ISSUER_PORT: '0', ISSUER_CORS_ORIGINS: `http://127.0.0.1:${port}` })
  const issuer = await startIssuer(settings, createLogger('test', 'silent'))
  t.after(() => issuer.close())
  const { open } = await openSite(t, { OIDC_ISSUER: issuer.url, OIDC_DASHBOARD_CLIENT: 'relay-web' }, port)
  const ofProvider = /404|ERR_NAME_NOT_RESOLVED/ // its own page wants a font and an icon
  const page = await open('/explore?stat=count', { token: null, failures: new RegExp(`403|503|${ofProvider.source}`) })
  const tokens = async () => JSON.parse(await page.evaluate<string>('sessionStorage.getItem("relay.tokens")'))
  const addresses: string[] = []
  page.on('framenavigated', frame => addresses.push(frame.url()))
  await page.getByRole('button', { name: /^Sign in at 127/ }).click()
  await page.locator('input[name=login]').fill('viewer')
  await page.locator('input[name=password]').fill('any')
  await page.locator('button[type=submit]').click()
  await page.getByText(/^Signed in at 127/).waitFor()
  assert.equal(await page.getByLabel('Statistic').inputValue(), 'count', 'where somebody wanted to be')
  assert.doesNotMatch(page.url(), /code=/)

  const first = await tokens()
  const expired = JSON.stringify(JSON.stringify({ ...first, expiresMs: 0 }))
  await page.evaluate(`sessionStorage.setItem('relay.tokens', ${expired})`)
  await page.reload()
  await page.getByText('Nothing of this selection was sent').waitFor()
  const second = await tokens()
  assert.notEqual(second.accessToken, first.accessToken)
  assert.ok(addresses.every(it => !it.includes(first.accessToken) && !it.includes(second.accessToken)))
  await page.getByRole('link', { name: 'Operations' }).click()
  await page.getByRole('alert').getByText('Not for this token').waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: /^Sign in at 127/ }).waitFor()
  assert.equal(await page.evaluate('sessionStorage.getItem("relay.tokens")'), null)
})
