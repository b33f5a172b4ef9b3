/** A real Prometheus that scrapes programs of a test. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import getPort from 'get-port'

import { endProgram, skipWithout } from 'relay-test-support/debian-tool.ts'
import { until } from 'relay-test-support/until.ts'
import { renderRules } from '../../monitoring/render.ts'

const host = '127.0.0.1'

/** Options of a test that needs one. */
export const withPrometheus = { skip: skipWithout('prometheus') } as const

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: number
}

export interface Prometheus extends AsyncDisposable {
  readonly url: string
  /** Asks now. @throws where the query is none */
  query (text: string): Promise<Sample[]>
  /** Exemplars of the last hour. */
  exemplars (text: string): Promise<Array<{ readonly labels: Readonly<Record<string, string>> }>>
  /** Names of all metrics that it has. */
  names (): Promise<Set<string>>
}

export interface PrometheusSettings {
  /** ports of programs on this machine, by job */
  readonly jobs: Readonly<Record<string, number>>
  /** between scrapes, and how long one may take: over 1 s, as programs wait so long for what they depend on */
  readonly intervalMs: number
  /** how many times shorter each length of time in the rules is */
  readonly scale?: number
  /** the same for windows of budgets */
  readonly budgetScale?: number
}

/** Starts it, with the rules of this project. */
export async function startPrometheus (
  { jobs, intervalMs, scale, budgetScale }: PrometheusSettings
): Promise<Prometheus> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'relay-prometheus-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const port = await getPort({ host })
  await writeFile(join(folder, 'relay.rules.yml'), renderRules(scale, budgetScale))
  await writeFile(join(folder, 'prometheus.yml'), `
global: { scrape_interval: ${intervalMs}ms, scrape_timeout: ${intervalMs}ms, evaluation_interval: 500ms }
rule_files: [relay.rules.yml]
scrape_configs:
${Object.entries(jobs).map(([job, at]) => `  - { job_name: ${job}, static_configs: [{ targets: ['${host}:${at}'] }] }`).join('\n')}
`)
  const server = spawn('prometheus', [
    '--enable-feature=exemplar-storage',
    `--config.file=${join(folder, 'prometheus.yml')}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=${host}:${port}`
  ], { stdio: 'ignore' })
  opened.defer(() => endProgram(server))
  const url = `http://${host}:${port}`
  const get = async (path: string) => {
    const answer = await fetch(`${url}${path}`)
    assert.equal(answer.status, 200, `${path}: ${await answer.clone().text()}`)
    return (await answer.json() as { data: any }).data
  }
  await until('Prometheus to be ready', () => fetch(`${url}/-/ready`).then(it => it.ok, () => false))
  const running = opened.move()
  return {
    url,
    async query (text) {
      const { result } = await get(`/api/v1/query?${new URLSearchParams({ query: text })}`)
      return result.map(({ metric, value }: { metric: Record<string, string>, value: [number, string] }) => ({
        metric, value: Number(value[1])
      }))
    },
    async exemplars (text) {
      const nowS = Date.now() / 1_000
      const range = { query: text, start: String(nowS - 3_600), end: String(nowS + 60) }
      const found = await get(`/api/v1/query_exemplars?${new URLSearchParams(range)}`)
      return found.flatMap((it: { exemplars: object[] }) => it.exemplars)
    },
    names: async () => new Set(await get('/api/v1/label/__name__/values')),
    [Symbol.asyncDispose]: () => running.disposeAsync()
  }
}
