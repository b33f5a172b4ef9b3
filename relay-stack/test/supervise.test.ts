import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { suite, test } from 'node:test'

import fc from 'fast-check'

import { until } from 'relay-test-support/until.ts'
import { judgeDeath, supervise, type Observer, type RunningPart, type Verdict } from '../src/supervise.ts'

suite('judging a death', () => {
  test('the first restart is after a second, the next ones after twice as long each, the fifth death ends it', () => {
    let deaths = 0
    const waits: unknown[] = []
    for (let n = 0; n < 5; n++) {
      const verdict = judgeDeath(deaths, 500)
      deaths = verdict.deaths
      waits.push(verdict.kind === 'restart' ? verdict.afterMs : verdict.kind)
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 'give-up'])
  })

  test('a part that ran for a minute starts with a clean record', () => {
    fc.assert(fc.property(fc.nat(10), fc.integer({ min: 60_000, max: 1e9 }), (deathsBefore, ranMs) => {
      assert.deepEqual(judgeDeath(deathsBefore, ranMs), { kind: 'restart', deaths: 1, afterMs: 1_000 })
    }))
  })

  test('no part is restarted forever without running well in between', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 59_999 }), { minLength: 5, maxLength: 50 }), runs => {
      let deaths = 0
      const verdicts = runs.map(ranMs => {
        const verdict = judgeDeath(deaths, ranMs)
        deaths = verdict.deaths
        return verdict.kind
      })
      assert.equal(verdicts.indexOf('give-up'), 4)
    }))
  })
})

suite('a supervised process', () => {
  test('is restarted when it dies, and not when it is closed', async () => {
    const { observer, deaths, backs } = observe()
    const start = async () => startNode('setInterval(() => {}, 1000)')
    const part = await supervise({ name: 'sleeper', start }, observer)
    const first = part.current.pid
    process.kill(first, 'SIGKILL')
    await backs.next()
    assert.notEqual(part.current.pid, first)
    assert.deepEqual(deaths.map(it => it.how), ['SIGKILL'])
    await part.close()
    assert.throws(() => process.kill(part.current.pid, 0), { code: 'ESRCH' })
    assert.equal(deaths.length, 1)
  })

  test('that has done its work is not restarted', async () => {
    const { observer, deaths } = observe()
    const part = await supervise({
      name: 'worker', start: async () => startNode(''), isFinished: ({ code }) => code() === 0
    }, observer)
    await part.finished
    assert.deepEqual(deaths, [])
    await part.close()
  })

  test('that fails the first time is reported to the caller', async () => {
    const { observer } = observe()
    const start = async () => { throw new Error('no such thing') }
    await assert.rejects(supervise({ name: 'never', start }, observer), /no such thing/)
  })

  test('that died for an external reason restarts when that is over, without counting a death', async () => {
    const { observer, deaths, blocks, backs } = observe()
    blocks.now = 'the disk is full'
    const part = await supervise(
      { name: 'sleeper', start: async () => startNode('setInterval(() => {}, 1000)') }, observer
    )
    process.kill(part.current.pid, 'SIGKILL')
    await until('it to be said', () => blocks.said.length > 0)
    blocks.now = undefined
    await backs.next()
    assert.deepEqual([deaths, blocks.said], [[], ['the disk is full']])
    await part.close()
  })

  test('can be closed while it waits for a restart', async () => {
    const { observer, deaths } = observe()
    const part = await supervise({ name: 'short', start: async () => startNode('process.exit(3)') }, observer)
    await part.current.exited
    await part.close()
    assert.ok(deaths.length <= 1)
  })
})

function startNode (script: string): RunningPart & { code: () => number | null } {
  const child = spawn(process.execPath, ['-e', script], { stdio: 'ignore' })
  const exited = new Promise<string>(resolve => child.once('exit', (code, signal) => resolve(signal ?? String(code))))
  return {
    pid: child.pid!,
    exited,
    code: () => child.exitCode,
    close: async () => {
      child.kill('SIGKILL')
      await exited
    }
  }
}

function observe () {
  const deaths: { how: string, verdict: Verdict }[] = []
  const came = Promise.withResolvers<void>()
  const blocks: { now: string | undefined, said: string[] } = { now: undefined, said: [] }
  const observer: Observer = {
    died: async (_name, how, verdict) => { deaths.push({ how, verdict }) },
    cameBack: () => came.resolve(),
    blockedBy: async () => blocks.now,
    blocked: async (_name, by) => { blocks.said.push(by) }
  }
  return { observer, deaths, blocks, backs: { next: () => came.promise } }
}
