/** A real browser on a real API. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { after, type TestContext } from 'node:test'

import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core'

import { openTestApi, TOKEN, type TestApi } from '../../../relay-api/test/support/ask.ts'
import type { PlacedEvent } from '../../../relay-api/test/support/write-events.ts'
import { skipWithout } from 'relay-test-support/debian-tool.ts'

const PROGRAM = '/usr/bin/chromium'
const WAIT_MAX_MS = 60_000

/** Why a test in a browser is skipped; false: it is not. */
export const withoutBrowser = skipWithout(PROGRAM)

const axe = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export interface Site extends TestApi {
  readonly url: string
  /** Opens an address, signed in. A complaint of the browser fails the test, and so does a token in an address. */
  open(path: string, options?: PageOptions): Promise<Page>
}

export interface PageOptions extends BrowserContextOptions {
  /** undefined: that of the tests; null: nobody has signed in */
  readonly token?: string | null
  /** what the browser may say of requests that fail in this test */
  readonly failures?: RegExp
}

export const pageOptions = {
  viewport: { width: 1_280, height: 900 },
  locale: 'en-GB',
  timezoneId: 'Europe/Berlin'
} as const

/** One for all tests of a file; each page has a context of its own. */
let launched: Promise<Browser> | undefined
after(async () => (await launched)?.close())

export function openBrowser (): Promise<Browser> {
  const asRoot = process.getuid?.() === 0
  return (launched ??= chromium.launch({ executablePath: PROGRAM, args: asRoot ? ['--no-sandbox'] : [] }))
}

/** @param environment settings of the API beyond the defaults @param port 0: any free one */
export async function openSite (t: TestContext, environment: Record<string, string> = {}, port = 0): Promise<Site> {
  const opened = new AsyncDisposableStack()
  const close = () => opened.disposeAsync()
  // pages go first, and what they hold open is in order: streams hold a connection of the database
  const pages = createPages(t)
  t.after(close)
  const { api, url } = await openApi(opened, environment, port)
  return { ...api, url, open: (path, options) => pages(url, path, options) }
}

/**
 * One API and database for the tests of a file that leave them as they were.
 * @param prepare writes what these tests look at
 */
export function shareSite (prepare?: (api: TestApi) => Promise<void>): (t: TestContext) => Promise<Site> {
  const opened = new AsyncDisposableStack()
  after(() => opened.disposeAsync())
  let opening: ReturnType<typeof openApi> | undefined
  return async t => {
    const pages = createPages(t)
    const { api, url } = await (opening ??= openApi(opened, {}, 0, prepare))
    return { ...api, url, open: (path, options) => pages(url, path, options) }
  }
}

/** The API, closed with `opened`, last opened first closed. */
async function openApi (
  opened: AsyncDisposableStack,
  environment: Record<string, string>,
  port: number,
  prepare?: (api: TestApi) => Promise<void>
): Promise<{ api: TestApi, url: string }> {
  const api = await openTestApi({ after: close => opened.defer(close) }, environment)
  await prepare?.(api)
  return { api, url: await api.app.listen({ host: '127.0.0.1', port }) }
}

type OpenPage = (url: string, path: string, options?: PageOptions) => Promise<Page>

/** Opens pages of a test, which close with it. */
function createPages (t: TestContext): OpenPage {
  const opened: BrowserContext[] = []
  t.after(async () => { for (const context of opened) await context.close() })
  return async (url, path, options = {}) => {
    const page = await openPage(t, await openBrowser(), url, path, options)
    opened.push(page.context())
    return page
  }
}

async function openPage (
  t: TestContext,
  browser: Browser,
  url: string,
  path: string,
  options: PageOptions
): Promise<Page> {
  const { token = TOKEN, failures = /^$/, ...context } = options
  const opened = await browser.newContext({ ...pageOptions, ...context })
  const complaints: string[] = []
  const page = await opened.newPage()
  page.setDefaultTimeout(WAIT_MAX_MS)
  page.on('console', message => {
    if (message.type() === 'error' && !failures.test(message.text())) complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(error.message))
  page.on('request', request => {
    if (request.url().includes(TOKEN)) complaints.push(`a token in ${request.url()}`)
  })
  t.after(() => assert.deepEqual(complaints, []))
  // before each document of this context: as if somebody had signed in in this tab
  if (token !== null) {
    await page.addInitScript(
      `sessionStorage.getItem('relay.signedOut') ?? sessionStorage.setItem('relay.token', ${JSON.stringify(token)})`
    )
  }
  await page.goto(url + path)
  return page
}

/** What axe finds against a page: https://github.com/dequelabs/axe-core */
export async function violationsOf (page: Page): Promise<string[]> {
  const script = await page.context().newCDPSession(page) // the page's own policy lets nobody add a script
  if (!await page.evaluate<boolean>('"axe" in window')) {
    await script.send('Runtime.evaluate', { expression: await axe })
  }
  const { result } = await script.send('Runtime.evaluate', {
    expression:
      "axe.run({ resultTypes: ['violations'] }).then(it => it.violations.map(({ id, nodes }) => " +
      '[id, ...nodes.map(it => it.html + it.failureSummary)].join(" ")))',
    awaitPromise: true,
    returnByValue: true
  })
  await script.detach()
  return result.value as string[]
}

const MINUTE_MS = 60_000

export interface Fleet {
  readonly devices: number
  readonly startMs: number
  readonly minutes: number
}

/** A reading a minute of each device: thermostats and cars in two zones; values say which minute, and whose. */
export function readingsOf ({ devices, startMs, minutes }: Fleet): PlacedEvent[] {
  return Array.from({ length: devices }, (_, device) =>
    Array.from({ length: minutes }, (_, minute) => ({
      deviceId: `device-${String(device + 1).padStart(3, '0')}`,
      zone: device % 2 === 0 ? 'Zone A' : 'Zone B',
      deviceType: device % 4 < 2 ? 'THERMOSTAT' : 'CAR_FUEL',
      value: 20 + device + (minute % 10) / 10,
      timestampMs: startMs + minute * MINUTE_MS,
      sourcePartition: 0
    }))
  ).flat()
}
