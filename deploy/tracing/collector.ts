/**
 * A real collector of OpenTelemetry: built once from its Go modules into `.relay`, it receives spans by OTLP over HTTP
 * and appends them to a file.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

import getPort from 'get-port'

import { skipWithout } from 'relay-test-support/debian-tool.ts'
import { installOnce, run } from 'relay-test-support/install-once.ts'
import { decodeSpans, type ReceivedSpan } from 'relay-test-support/otlp-receiver.ts'
import { until } from 'relay-test-support/until.ts'

const VERSION = 'v0.161.0'
const HOST = '127.0.0.1'

/** Options of a test that needs one. */
export const withCollector = { skip: skipWithout('go', 'golang-go', 'version') } as const

const parts = `dist: { name: collector, output_path: . }
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver ${VERSION}
exporters:
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter ${VERSION}
`

export interface Collector {
  /** for OTEL_EXPORTER_OTLP_ENDPOINT */
  readonly url: string
  /** All spans in its file, also those of before it was killed. */
  spans (): Promise<ReceivedSpan[]>
  /** Stops it for a while (SIGSTOP): connections are accepted, and nothing is answered. */
  pause (): void
  kill (): Promise<void>
  /** Starts it again, on the same port and file. */
  start (): Promise<void>
}

/** Starts one that ends with the test. */
export async function openCollector (t: TestContext): Promise<Collector> {
  const program = join(await installOnce(`otel-collector/${VERSION}`, build), 'collector')
  const folder = await mkdtemp(join(tmpdir(), 'relay-collector-'))
  const [config, file] = [join(folder, 'config.yaml'), join(folder, 'spans.jsonl')]
  const port = await getPort({ host: HOST })
  await writeFile(config, `
receivers: { otlp: { protocols: { http: { endpoint: '${HOST}:${port}' } } } }
exporters: { file: { path: ${file}, append: true, flush_interval: 100ms } }
service:
  pipelines: { traces: { receivers: [otlp], exporters: [file] } }
  telemetry: { metrics: { level: none } }
`)
  const url = `http://${HOST}:${port}`
  let running: ChildProcess | undefined
  const kill = async () => {
    if (running === undefined || running.exitCode !== null) return
    const exited = once(running, 'exit')
    running.kill('SIGKILL')
    running = undefined
    await exited
  }
  const start = async () => {
    const child = running = spawn(program, ['--config', config], { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr!.setEncoding('utf8').on('data', text => { said = (said + text).slice(-4_000) })
    await until(() => `the collector to start: ${said}`, async () => {
      if (child.exitCode !== null) throw new Error(`the collector ended: ${said}`)
      return await fetch(url).then(() => true, () => false)
    })
  }
  t.after(async () => {
    await kill()
    await rm(folder, { recursive: true })
  })
  await start()
  return { url, kill, start, pause: () => { running!.kill('SIGSTOP') }, spans: () => readSpans(file) }
}

/** A minute or two of both cores. */
async function build (folder: string): Promise<void> {
  const config = join(folder, 'builder.yaml')
  await writeFile(config, parts)
  const go = ['run', `go.opentelemetry.io/collector/cmd/builder@${VERSION}`, '--config', config]
  await run('sh', ['-c', 'cd "$0" && go "$@"', folder, ...go])
}

/** A kill may leave half a line, which the next start continues. */
async function readSpans (file: string): Promise<ReceivedSpan[]> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(0, -1)
  return lines.flatMap(it => {
    const request = parse(it.slice(Math.max(0, it.lastIndexOf('{"resourceSpans":'))))
    return request === undefined ? [] : decodeSpans(request)
  })
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
