/** `relay deploy` on real processors: a good canary takes over, a faulty one is aborted and leaves no trace. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { giveBack } from '../../relay-processor/src/deployment.ts'
import { settled, spawnProcessor } from '../../relay-processor/test/support/open-processor.ts'
import { readDeadLetters } from '../../relay-processor/test/support/read-dead-letters.ts'
import { nightly } from 'relay-test-support/nightly.ts'
import { until } from 'relay-test-support/until.ts'
import {
  checkRows, FLUSH_LOCK, GREEN, openDeploySite, reported, superviseFaulty, type DeploySite
} from './support/deploy-site.ts'
import { documents, runCli, spawnCli } from './support/run-cli.ts'

/** Processors report every 10 s: an analysis sees a new report of each. */
const ANALYSIS = '15s'
/** Two or three reports of each, for a verdict about CPU. */
const LONG_ANALYSIS = '25s'
const always = {}
const CANARY = ['deploy', 'canary', '--generation', 'green', '--partitions', '1', '--events-min', '300', '--json']

async function status ({ site }: DeploySite) {
  const run = await runCli(site, ['deploy', 'status', '--json'])
  assert.equal(run.code, 0, run.stderr)
  return documents(run)[0]
}

/** Stops the load, and checks that nobody noticed the deployment. */
async function checkSite (opened: DeploySite): Promise<void> {
  await opened.stopLoad()
  await settled(opened.site)
  await checkRows(opened)
  assert.deepEqual(opened.failures, [], 'no request failed')
  assert.ok(opened.answers.count > 20, `${opened.answers.count} answers`)
}

const kinds = [
  { kind: 'kafka', ofGood: always, ofWrong: nightly('canary-aborted-on-kafka') },
  { kind: 'postgres', ofGood: nightly('canary-promoted-on-postgres'), ofWrong: always }
] as const

for (const { kind, ofGood, ofWrong } of kinds) {
  test(`a good canary is promoted by its analysis, and every reading counts once: ${kind}`, { timeout: 240_000, ...ofGood }, async t => {
    const opened = await openDeploySite(t, kind)
    if (!opened) return
    const { site } = opened
    const unknown = await runCli(site, CANARY)
    assert.equal(unknown.code, 2)
    assert.match(unknown.stderr, /no running processor reports generation green \(running: blue\).*RELAY_DEPLOY_REFUSED/)
    await spawnProcessor(t, site, GREEN)
    await reported(site, 'green')

    const run = await runCli(site, [...CANARY, '--analyse', ANALYSIS, '--promote'])
    assert.equal(run.code, 0, run.stdout + run.stderr)
    const [started, analysis, promoted] = documents(run)
    assert.deepEqual(started.partitions, [3])
    assert.deepEqual([analysis.verdict, analysis.reasons, analysis.differences], ['good', [], 0])
    assert.ok(analysis.rowsCompared > 0 && analysis.canary.events > 300, run.stdout)
    assert.deepEqual(promoted, { promoted: 'green' })
    t.diagnostic(JSON.stringify(analysis))

    await until('green to have all partitions', async () => (await site.database.query(
      "select from progress where owner not like 'green-1:%'")).length === 0)
    assert.equal((await status(opened)).active, 'green')
    await checkSite(opened)
  })

  test(`a canary with wrong sums is aborted by its analysis, and its rows are as if it had never been: ${kind}`, { timeout: 240_000, ...ofWrong }, async t => {
    const opened = await openDeploySite(t, kind)
    if (!opened) return
    await superviseFaulty(t, opened, 'wrong-sum')
    const run = await runCli(opened.site, [...CANARY, '--analyse', ANALYSIS])
    assert.equal(run.code, 1, run.stdout + run.stderr)
    const [, analysis, aborted] = documents(run)
    assert.equal(analysis.verdict, 'bad')
    assert.match(analysis.reasons.join(), /rows differ from the log/)
    assert.ok(aborted.rebuilt.changes.minute.changed > 0 && aborted.rebuilt.changes.day.changed > 0, run.stdout)
    assert.equal(aborted.notRebuiltFrom, null)
    t.diagnostic(JSON.stringify(aborted))
    const { active, canary } = await status(opened)
    assert.deepEqual([active, canary], ['blue', null])
    await checkSite(opened)
  })
}

const faults = [
  { fault: 'slow', reason: /an event takes .* of work/, when: nightly('canary-slow') },
  { fault: 'crash', reason: /claimed \d+ times|started \d+ times/, when: always },
  { fault: 'lost-readings', reason: /rows differ from the log/, when: nightly('canary-loses-readings') }
]
for (const { fault, reason, when } of faults) {
  test(`a canary with the fault "${fault}" is aborted by its analysis`, { timeout: 240_000, ...when }, async t => {
    const opened = (await openDeploySite(t, 'postgres', { eventsPerSecond: 1_500 }))!
    await superviseFaulty(t, opened, fault)
    const run = await runCli(opened.site, [...CANARY, '--analyse', LONG_ANALYSIS, '--cost-events-min', '5000'])
    assert.equal(run.code, 1, run.stdout + run.stderr)
    const [, analysis, aborted] = documents(run)
    assert.equal(analysis.verdict, 'bad')
    assert.match(analysis.reasons.join(), reason)
    assert.equal(aborted.aborted, 'green')
    t.diagnostic(JSON.stringify(analysis))
    await checkSite(opened)
  })
}

test('valid records that a canary refused count after its abort, and invalid ones are dead letters', { timeout: 240_000 }, async t => {
  const opened = (await openDeploySite(t, 'postgres'))!
  const { site } = opened
  await superviseFaulty(t, opened, 'refuses-valid')
  assert.equal((await runCli(site, CANARY)).code, 0)
  await until('the canary to refuse records', async () =>
    (await readDeadLetters(site)).filter(it => it.detail === 'a bug').length > 3)
  const run = await runCli(site, ['deploy', 'abort', '--json'])
  assert.equal(run.code, 0, run.stderr)
  const [aborted] = documents(run)
  assert.ok(aborted.deadLettersInError > 3, run.stdout)
  assert.equal(aborted.deadLettersAdded, 0)
  await checkSite(opened)
  const places = (await readDeadLetters(site)).filter(it => it.detail !== 'a bug')
    .map(it => `${it.sourcePartition}:${it.sourceOffset}`)
  const counts = [...Map.groupBy(places, it => it).values()].map(it => it.length)
  assert.ok(Math.max(...counts) <= 2, 'a letter of the flush that was fenced may be there twice')
})

test('a letter of a flush of the canary that came too late takes no reading away', { timeout: 240_000 }, async t => {
  const opened = (await openDeploySite(t, 'postgres'))!
  const { site } = opened
  await superviseFaulty(t, opened, 'refuses-valid')
  assert.equal((await runCli(site, CANARY)).code, 0)
  const topic = (await site.eventLog.describeTopic(site.config.EVENTS_TOPIC))!
  const nextOffset = async () => (await site.database.query<{ next_offset: bigint }>(
    'select next_offset from progress where source_partition = 3'))[0].next_offset

  const locker = await site.database.connect()
  try {
    await locker.query('select pg_advisory_lock($1)', [FLUSH_LOCK])
    const letterAhead = async () => {
      const next = await nextOffset()
      return (await readDeadLetters(site)).find(it => it.detail === 'a bug' && it.sourceOffset! >= next)
    }
    await until('a letter whose flush waits', async () => await letterAhead() !== undefined)
    // the first step of an abort, as of one that was killed then
    await site.database.transaction(async client => await giveBack(client, topic))
    const { sourceOffset } = (await letterAhead())!
    await until('blue to read that record', async () => await nextOffset() > sourceOffset!)
  } finally {
    await locker.query('select pg_advisory_unlock($1)', [FLUSH_LOCK])
    locker.release()
  }
  const abort = async () => {
    const run = await runCli(site, ['deploy', 'abort', '--json'])
    assert.equal(run.code, 0, run.stderr)
    return documents(run)[0]
  }
  assert.equal((await abort()).deadLettersAdded, 0)
  // letters of this canary decide nothing in the abort of the next one either
  assert.equal((await runCli(site, CANARY)).code, 0)
  await until('the next canary to refuse records', async () => {
    const [noted] = await site.database.query<{ from_offset: bigint }>(
      'select from_offset from canary_partitions where is_canary')
    return (await readDeadLetters(site)).some(it => it.detail === 'a bug' && it.sourceOffset! > noted.from_offset)
  })
  await abort()
  await checkSite(opened)
  const atDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()
  const verified = await runCli(site, ['verify', '--from', atDays(-4), '--to', atDays(1)])
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
})

test('relay deploy may be killed in an abort and in a promotion, and so may the canary', { timeout: 240_000 }, async t => {
  const opened = (await openDeploySite(t, 'postgres'))!
  const { site } = opened
  /** Kills a command while it waits for a lock, which is taken once the deployment has a state. */
  const killWaiting = async (command: string, state: string, lock: string) => {
    const locker = await site.database.connect()
    try {
      await locker.query('begin')
      const child = spawnCli(site, ['deploy', command])
      await until(`the state ${state}`, async () => (await site.database.query(
        'select from processor_generations where state = $1', [state])).length > 0)
      await locker.query(lock)
      await until('the command to wait', async () => (await site.database.query(`
        select from pg_stat_activity
        where datname = current_database() and application_name = 'relay-cli' and wait_event_type = 'Lock'`)).length > 0)
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
      await locker.query('commit')
    } finally {
      locker.release()
    }
  }

  let green = await spawnProcessor(t, site, GREEN)
  await reported(site, 'green')
  assert.equal((await runCli(site, CANARY)).code, 0)
  await until('the canary to count', async () => (await site.database.query(`
    select from progress p join canary_partitions c using (topic_id, source_partition)
    where is_canary and next_offset > from_offset + 100`)).length > 0)
  await killWaiting('abort', 'aborting', 'lock table processor_generations in row share mode')
  assert.equal((await status(opened)).canary.state, 'aborting')
  const early = await runCli(site, ['deploy', 'promote'])
  assert.equal(early.code, 2)
  assert.match(early.stderr, /run relay deploy abort again/)
  assert.equal((await runCli(site, ['deploy', 'abort'])).code, 0)
  assert.equal((await status(opened)).canary, null)

  assert.equal((await runCli(site, CANARY)).code, 0)
  green.kill('SIGKILL')
  green = await spawnProcessor(t, site, GREEN)
  await until('the new processor to have its partition', async () => (await site.database.query(
    'select from progress where owner = $1', [`green-1:${green.pid}`])).length === 1)
  await killWaiting('promote', 'canary', 'lock table processor_generations in row share mode')
  assert.equal((await status(opened)).canary.state, 'canary', 'nothing has changed')
  assert.equal((await runCli(site, ['deploy', 'promote'])).code, 0)
  await until('green to have all partitions', async () => (await site.database.query(
    "select from progress where owner not like 'green-1:%'")).length === 0)
  await checkSite(opened)
})
