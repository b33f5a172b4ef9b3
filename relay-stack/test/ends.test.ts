/** How a stack ends: by signals, with npm, with its parts, and with its data. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'

import { until } from 'relay-test-support/until.ts'
import { commandLineOf } from '../src/process-table.ts'
import {
  assertStops, killAll, makeDataDir, onFreePorts, runningOn, startByNpm, startStackProcess, type StackProcess
} from './support/stack-process.ts'

const onPostgres = ['--event-log', 'postgres', '--backfill', '10s', ...onFreePorts]
/** for what is not about the fleet, which takes a quarter of the CPU */
const withoutFleet = [...onPostgres, '--no-simulator']

async function secondSignal (stack: StackProcess): Promise<void> {
  stack.kill('SIGTERM')
  await stack.said(/SIGTERM: stopping/)
  await until('the second signal', () => {
    stack.kill('SIGTERM') // too soon after the first one it counts as the same
    return stack.text.includes('killing all processes: a second signal')
  })
}

suite('a stack that ends', { concurrency: 1 }, () => {
  test('during its start undoes the start', async t => {
    const dataDir = await makeDataDir(t)
    const stack = startStackProcess(dataDir, onPostgres)
    await stack.said(/^Event log/m)
    await assertStops(stack, dataDir, 'SIGHUP', 'stopping')
  })

  test('on the data of an earlier stack:', async t => { // which starts with half of the CPU
    const dataDir = await makeDataDir(t)
    t.afterEach(() => killAll(dataDir))

    await t.test('npm start ends with 0 and leaves nothing behind: on Ctrl-C, and on a SIGTERM that only npm gets', async () => {
      for (const stop of [{ signal: 'SIGINT', isForAll: true }, { signal: 'SIGTERM', isForAll: false }] as const) {
        const npm = startByNpm(dataDir, onPostgres)
        await npm.up()
        process.kill(stop.isForAll ? -npm.pid : npm.pid, stop.signal)
        assert.equal(await npm.exited, 0, npm.text)
        assert.match(npm.text, new RegExp(`${stop.signal}: stopping`))
        assert.doesNotMatch(npm.text, /killing/)
        assert.deepEqual(runningOn(dataDir), [])
      }
    })

    await t.test('a killed npm ends the stack too', async () => {
      const npm = startByNpm(dataDir, withoutFleet)
      await npm.up()
      npm.kill('SIGKILL')
      await until('all processes to be gone', () => runningOn(dataDir).length === 0)
      await until('the last that it said to come over', () => /stopping: npm is gone[^]*stopped/.test(npm.text))
    })

    await t.test('a second signal kills everything at once', async () => {
      const stack = startStackProcess(dataDir, withoutFleet)
      const { pids } = await stack.up()
      process.kill(pids.processor, 'SIGSTOP') // it can't stop in order now
      await secondSignal(stack)
      assert.equal(await stack.exited, 1)
      await until('all processes to be gone', () => runningOn(dataDir).length === 0)
    })

    await t.test('a second signal kills a helper that does not end by itself', async () => {
      const cache = await mkdtemp(join(tmpdir(), 'relay-test-compiled-'))
      t.after(() => rm(cache, { recursive: true, force: true }))
      const stack = startStackProcess(dataDir, onPostgres, { NODE_COMPILE_CACHE: cache })
      let compiling: number | undefined
      await until('the programs to be compiled', () => {
        compiling = runningOn(dataDir).find(pid => commandLineOf(pid).includes('--input-type=module --eval'))
        return compiling !== undefined
      })
      process.kill(compiling!, 'SIGSTOP') // as on a busy machine, where the lowest priority gets no CPU
      await secondSignal(stack)
      assert.equal(await stack.exited, 1)
      await until('all processes to be gone', () => runningOn(dataDir).length === 0)
    })

    await t.test('a part that keeps dying ends the stack, with the reason', async () => {
      const stack = startStackProcess(dataDir, withoutFleet)
      let { pids: { api: pid } } = await stack.up()
      for (const waitS of [1, 2, 4, 8]) {
        process.kill(pid, 'SIGKILL')
        await stack.said(new RegExp(`^api: killed by SIGKILL; it restarts in ${waitS} s`, 'm'))
        await until(
          'the API', () => (stack.text.match(/^api is running again/gm) ?? []).length === Math.log2(waitS) + 1
        )
        pid = Number([...stack.text.matchAll(/^api is running again \(process (\d+)\)/gm)].at(-1)![1])
      }
      process.kill(pid, 'SIGKILL')
      assert.equal(await stack.exited, 1)
      assert.match(stack.text, /^api: .* it failed 5 times in a row and is not restarted.* in .*api\.log/m)
      assert.deepEqual(runningOn(dataDir), [])
    })

    await t.test('deleting the data folder ends the stack, in order', async () => {
      const stack = startStackProcess(dataDir, withoutFleet)
      await stack.up()
      await rm(dataDir, { recursive: true, maxRetries: 20 }) // PostgreSQL may create a file where one was just removed
      assert.equal(await stack.exited, 1)
      // it is random which part misses its files first: an unexpected error, or a part that can't be restarted
      assert.match(stack.text, /ENOENT/)
      assert.match(stack.text, /stopping: |Stopping the rest/)
      assert.deepEqual(runningOn(dataDir), [])
    })
  })
})
