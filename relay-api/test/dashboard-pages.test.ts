import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { WELL_KNOWN_TOKEN } from 'relay-access'

import { renderMarkdown } from '../src/runbook-page.ts'
import { openTestApi } from './support/ask.ts'

test('the dashboard is at /, open to everybody, and runs only its own files', async t => {
  const { app } = await openTestApi(t)
  for (const url of ['/', '/explore?zone=Zone%20A']) {
    const { statusCode, headers, body } = await app.inject(url)
    assert.equal(statusCode, 200)
    assert.match(String(headers['content-type']), /^text\/html/)
    assert.equal(headers['cache-control'], 'public, no-cache')
    const policy = String(headers['content-security-policy'])
    assert.match(policy, /default-src 'none'.*script-src 'self'; style-src 'self'/)
    assert.doesNotMatch(policy, /unsafe|data:|\*|https?:/)
    assert.doesNotMatch(body, /<script(?![^>]*src="\/assets\/)|<style| style=|https?:/)
    const again = await app.inject({ url, headers: { 'if-none-match': String(headers.etag) } })
    assert.equal(again.statusCode, 304)
  }
})

test('its files are cached for a year, compressed, with names that change with the content', async t => {
  const { app } = await openTestApi(t)
  const { body } = await app.inject('/')
  const files = [...body.matchAll(/"(\/assets\/[^"]+)"/g)].map(([, it]) => it)
  assert.equal(files.length, 3)
  for (const url of files) {
    const { statusCode, headers } = await app.inject({ url, headers: { 'accept-encoding': 'br, gzip' } })
    assert.equal(statusCode, 200)
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
    if (!url.endsWith('.svg')) assert.equal(headers['content-encoding'], 'br')
  }
  assert.equal((await app.inject('/assets/index.html')).statusCode, 404)
  assert.equal((await app.inject('/assets/..%2findex.html')).statusCode, 404)
  assert.equal((await app.inject({ method: 'POST', url: '/' })).statusCode, 405)
})

test('the page only contains a token if that is well known', async t => {
  const { app } = await openTestApi(t)
  assert.match((await app.inject('/')).body, /name="relay-local-token" content=""/)
  const local = await openTestApi(t, { API_TOKENS: `another,${WELL_KNOWN_TOKEN}` })
  const { body } = await local.app.inject({ url: '/', headers: { host: 'localhost' } })
  assert.ok(body.includes(`name="relay-local-token" content="${WELL_KNOWN_TOKEN}"`) && !body.includes('another'))
  assert.equal((await local.app.inject({ url: '/', headers: { host: 'evil.example' } })).statusCode, 421)
})

test('too many requests for the page are limited', async t => {
  const { app } = await openTestApi(t, { RATE_LIMIT_OPEN_MAX: '3' })
  const statuses = []
  for (let n = 0; n < 5; n++) statuses.push((await app.inject('/')).statusCode)
  assert.deepEqual(statuses, [200, 200, 200, 429, 429])
})

test('the page may connect to the provider of the login, and an odd name stays a name', async t => {
  const settings = { OIDC_ISSUER: 'https://login.example/realms/relay', OIDC_DASHBOARD_CLIENT: 'a"><b>' }
  const { app } = await openTestApi(t, settings)
  const { headers, body } = await app.inject('/')
  assert.match(String(headers['content-security-policy']), /connect-src 'self' https:\/\/login\.example;/)
  assert.ok(!body.includes('<b>'))
  const [, content] = /name="relay-oidc" content="([^"]*)"/.exec(body)!
  assert.deepEqual(JSON.parse(content.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))),
    { issuer: 'https://login.example/realms/relay', clientId: 'a"><b>' })
})

test('the runbook is a page: each heading has its address, and each link within it leads to one', async t => {
  const { app } = await openTestApi(t)
  const { statusCode, headers, body } = await app.inject('/runbook')
  assert.equal(statusCode, 200)
  assert.match(String(headers['content-type']), /^text\/html/)
  const styleSheet = /href="(\/assets\/[^"]+\.css)"/.exec(body)![1]
  assert.equal((await app.inject(styleSheet)).statusCode, 200)
  const ids = [...body.matchAll(/<h\d id="([^"]+)"/g)].map(([, it]) => it)
  const headings = readFileSync(new URL('../../docs/runbook.md', import.meta.url), 'utf8').match(/^#+ .*$/gm)!
  assert.equal(new Set(ids).size, headings.length)
  assert.deepEqual([...body.matchAll(/href="#([^"]+)"/g)].map(([, it]) => it).filter(it => !ids.includes(it)), [])
  const words = body.replace(/<(code|pre)[^>]*>[^]*?<\/\1>/g, '')
  assert.doesNotMatch(words, /\]\(|\*\*|`|^[|#] /m)
})

test('Markdown of the runbook is text, whatever is in it', () => {
  const cases: Array<[markdown: string, html: string]> = [
    ['a <b> & "c"\nd', '<p>a &lt;b&gt; &amp; &quot;c&quot; d</p>'],
    ['## Gaps, and `x`', '<h2 id="gaps-and-x">Gaps, and <code>x</code></h2>'],
    [
      '- **a**: [b](#c)\n  d\n- `**e**`',
      '<ul><li><strong>a</strong>: <a href="#c">b</a> d</li><li><code>**e**</code></li></ul>'
    ],
    ['1. a\n2. *b*', '<ol><li>a</li><li><em>b</em></li></ol>'],
    ['    select *\n    from t', '<pre tabindex="0"><code>select *\nfrom t</code></pre>'],
    ['[a](cli.md#b)', '<p>a (docs/cli.md#b)</p>'],
    ['[a](https://example.com/b?c&d)', '<p><a href="https://example.com/b?c&amp;d">a</a></p>'],
    ['| a | b |\n| --- | --- |\n| c | |', '<div class="scroll" tabindex="0"><table>' +
      '<thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead>' +
      '<tbody><tr><td>c</td><td></td></tr></tbody></table></div>'],
    ['<!-- written by\na program -->', '']
  ]
  for (const [markdown, html] of cases) assert.equal(renderMarkdown(markdown), html)
})
