/** A real browser on a real API. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { after, type TestContext } from 'node:test'

import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core'

import { openTestApi, TOKEN, type TestApi } from '../../../relay-api/test/support/ask.ts'
import type { PlacedEvent } from '../../../relay-api/test/support/write-events.ts'
import { skipWithout } from '../../../test-support/debian-tool.ts'

const PROGRAM = '/usr/bin/chromium'
const WAIT_MAX_MS = 60_000

/** Why a test in a browser is skipped; false: it is not. */
export const withoutBrowser = skipWithout(PROGRAM)

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

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
  const opened: BrowserContext[] = []
  const started: TestApi[] = []
  t.after(async () => {
    // before the database: streams hold a connection of it
    for (const context of opened) await context.close()
    for (const { app } of started) await app.close()
  })
  const api = await openTestApi(t, environment)
  started.push(api)
  const url = await api.app.listen({ host: '127.0.0.1', port })
  const browser = await openBrowser()
  const open = async (path: string, options: PageOptions = {}) => {
    const page = await openPage(t, browser, url, path, options)
    opened.push(page.context())
    return page
  }
  return { ...api, url, open }
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
  await script.send('Page.enable')
  await script.send('Runtime.evaluate', { expression: await readFile(axe, 'utf8') })
  const { result } = await script.send('Runtime.evaluate', {
    expression:
      'axe.run().then(it => it.violations.map(({ id, nodes }) => ' +
      '[id, ...nodes.map(it => it.html + it.failureSummary)].join(" ")))',
    awaitPromise: true,
    returnByValue: true
  })
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
