/** Checks that `npm run test:hostile` would detect a successful attack. */
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { kindOf, type Attack } from '../src/attack.ts'
import { attacks, sampleOf } from '../src/attacks.ts'
import { startHonest } from '../src/children.ts'
import { judgeHonest, ratioOf, spreadsOf } from '../src/judge.ts'
import type { Site } from '../src/site.ts'
import { runSuite, type AttackReport } from '../src/suite.ts'

const SETTINGS = { seed: 7, generated: 60, spanMs: 500, quietMs: 3_000, floorMs: 250 }

const named = (...names: string[]): Attack[] => names.map(name => attacks.find(it => it.name === name)!)

suite('attacks', () => {
  test('are many, of many kinds, of all attackers, with unique names', () => {
    assert.ok(attacks.length >= 60, `${attacks.length} attacks`)
    assert.ok(new Set(attacks.map(it => kindOf(it.name))).size >= 15)
    assert.equal(new Set(attacks.map(it => it.name)).size, attacks.length)
    assert.deepEqual([...new Set(attacks.map(it => it.who))].sort(), ['admin', 'read key', 'stranger', 'write key'])
  })

  test('of a sample are one of each kind, and each attack is in that of some seed', () => {
    const kinds = new Set(attacks.map(it => kindOf(it.name)))
    const seen = new Set<Attack>()
    for (let seed = 0; seed < 500; seed++) {
      const sample = sampleOf(attacks, seed)
      assert.deepEqual(new Set(sample.map(it => kindOf(it.name))), kinds)
      assert.equal(sample.length, kinds.size)
      for (const it of sample) seen.add(it)
    }
    assert.equal(seen.size, attacks.length)
    assert.deepEqual(sampleOf(attacks, 7), sampleOf(attacks, 7))
  })

  test('that succeed are reported: a server that is slow for all, one that ends, one that keeps connections', async () => {
    await using opened = new AsyncDisposableStack()
    const weak = await startWeakServer()
    opened.defer(() => weak.close())
    const honest = opened.adopt(await startHonest({
      apiPort: weak.site.apiPort,
      mqttPort: 0,
      readToken: 'x',
      writeToken: 'x',
      questions: [{ kind: 'a question', path: '/' }],
      liveZone: '',
      everyMs: { question: 25, http: 0, mqtt: 0, look: 0 }
    }), it => it.close())
    const reports = new Map<string, AttackReport>()
    const [heads] = named('slow/heads')
    const kept = { ...heads, closedWithinMs: 2_000 }
    await runSuite(
      weak.site, honest, [kept, ...named('open-routes/openapi', 'open-routes/docs', 'open-routes/probes')], SETTINGS,
      it => reports.set(it.name, it)
    )

    const brokenOf = (name: string) => reports.get(name)!.broken.join('\n')
    assert.match(brokenOf('slow/heads'), /connections are still open|a connection was closed after/)
    assert.match(brokenOf('open-routes/openapi'), /honest p99 \d+ ms/)
    assert.match(brokenOf('open-routes/docs'), /api has ended: its process is another one/)
    assert.equal(brokenOf('open-routes/probes'), '')
  })
})

test('a p99 of three times the quiet one is allowed, and slightly more is not', () => {
  const window = (ms: number) => ({
    times: { 'a question': Array<number>(200).fill(ms), 'send by HTTP': [], 'send by MQTT': [] },
    failures: [],
    behindMs: 0,
    acknowledged: 0,
    visible: 0
  })
  const quiet = spreadsOf(window(40))
  assert.deepEqual(judgeHonest(quiet, window(120)), { slow: [], broken: [] })
  assert.equal(judgeHonest(quiet, window(121)).slow.length, 1)
  assert.equal(ratioOf(quiet, spreadsOf(window(120))), 3)
  assert.deepEqual(
    judgeHonest(spreadsOf(window(1)), window(50)), { slow: [], broken: [] }, 'three times next to nothing'
  )
  assert.deepEqual(
    judgeHonest(quiet, { ...window(40), failures: ['top: status 500'] }).broken, ['honest top: status 500']
  )
  assert.equal(judgeHonest(quiet, { ...window(40), behindMs: 11_000 }).slow.length, 1)
})

/** The weak server, restarted when it ends, as by a supervisor. */
async function startWeakServer (): Promise<{ readonly site: Site, close (): Promise<void> }> {
  const file = fileURLToPath(new URL('support/weak-server.ts', import.meta.url))
  let isClosing = false
  let child: ChildProcess
  const start = async (port: number): Promise<number> => {
    child = fork(file, { env: { ...process.env, PORT: String(port) } })
    child.once('exit', () => { if (!isClosing) start(apiPort) })
    const [told] = await once(child, 'message')
    return (told as { port: number }).port
  }
  const apiPort = await start(0)
  const site = {
    apiPort,
    processorPort: apiPort,
    adminToken: 'x',
    makeKey: async () => 'x',
    target: (token: string) => ({ apiPort, mqttPort: 0, issuerPort: 0, token, adminToken: 'x' }),
    observe: async () => ({
      pids: { api: child.pid! }, memoryMb: {}, cpuMs: {}, logBytes: 0, partitions: 0, ungranted: 0
    }),
    caughtUp: async () => true,
    logged: async () => [],
    restartPrograms: async () => {}
  }
  return {
    site: site as unknown as Site,
    close: async () => {
      isClosing = true
      const exited = once(child, 'exit')
      child.kill()
      await exited
    }
  }
}
