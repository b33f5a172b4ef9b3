/** The parts of `.ci/run` that CI runs: together they are all of it, and what is left for the night runs at night. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { parse } from 'yaml'

import { nightlyTests } from 'relay-test-support/nightly.ts'
import { faultAlarms } from '../monitoring/fault-alarms.ts'
import { ROOT } from './support/dockerfile.ts'

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const script = read('.ci/run')
const { jobs } = parse(read('.github/workflows/ci.yml'))
const nightlyJobs = parse(read('.github/workflows/nightly.yml')).jobs
const commandsOf = (job: any): string[] => job.steps.map((it: any) => it.run).filter(Boolean)
const variable = (job: any, name: string): string | undefined =>
  job.steps.map((it: any) => it.env?.[name]).find((it: unknown) => it !== undefined)

test('the jobs of a change run all parts of .ci/run, each after its install', () => {
  const [, all] = /^ {2}all\)\n([^]*?);;/m.exec(script)!
  const parts = all.trim().split(/\s+/).filter(it => it !== 'install')
  assert.ok(parts.length >= 4)
  const run = Object.values<any>(jobs).flatMap(job => job.strategy?.matrix.part ?? commandsOf(job).flatMap(it =>
    /^\.ci\/run (?!install)(\w+)/.exec(it)?.[1] ?? []))
  assert.deepEqual(run.sort(), parts.sort())
  for (const job of Object.values(jobs)) {
    const [first, then] = commandsOf(job)
    assert.equal(first.replace(' install', ''), then)
  }
})

test('each workspace with tests is in one job', () => {
  const withTests = new Set(globSync('*/test/**/*.test.ts', { cwd: ROOT }).map(it => it.split('/')[0]))
  withTests.delete('node_modules')
  const ofJobs = jobs.tests.strategy.matrix.workspaces.flatMap((it: string) => it.split(' '))
  assert.deepEqual(ofJobs.sort(), [...withTests].sort())
})

test('no job ends before the limit of its tests, which names the test that does not end', () => {
  for (const job of [jobs.tests, nightlyJobs.run]) {
    assert.ok(Number(variable(job, 'TESTS_MINUTES_MAX')) + 10 <= job['timeout-minutes'])
  }
  assert.match(script, /TESTS_MINUTES_MAX/)
  const attacksMinutes = Number(/timeout .* (\d+)m npm run --silent test:hostile/.exec(script)![1])
  assert.ok(attacksMinutes + 10 <= jobs.stack['timeout-minutes'])
})

test('a part that does not exist ends .ci/run', () => {
  const { status, stderr } = spawnSync(join(ROOT, '.ci/run'), ['everything'], { encoding: 'utf8' })
  assert.equal(status, 2)
  assert.match(stderr, /no such part: everything/)
})

test('what is left for the night is used once, in its file, beside a test of its kind that always runs', () => {
  const files = globSync('*/test/**/*.test.ts', { cwd: ROOT }).filter(it => !it.startsWith('node_modules'))
  const used = files.flatMap(file => [...read(file).matchAll(/\bnightly\('([\w-]+)'\)/g)].map(([, name]) => ({ name, file })))
  const listed = Object.entries(nightlyTests).map(([name, { file }]) => ({ name, file }))
  const byName = (a: { name: string }, b: { name: string }) => a.name < b.name ? -1 : 1
  assert.deepEqual(used.sort(byName), listed.sort(byName))
  for (const { file, always } of Object.values(nightlyTests)) {
    assert.ok(read(file).includes(always), `${file} has no test "${always}"`)
  }
})

test('at night runs what no change does', () => {
  assert.equal(variable(nightlyJobs.run, 'RELAY_NIGHTLY'), 'true')
  const commands = Object.values(nightlyJobs).flatMap(commandsOf)
  for (const it of ['.ci/run', 'npm run test:alarms', 'npm run test:traces']) assert.ok(commands.includes(it), it)
  assert.ok(Object.values(faultAlarms).some(it => it.isTriedAlways), 'some fault is tried at every change')
})
