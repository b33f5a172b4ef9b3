/**
 * compose.cluster.yaml over compose.yaml on a real engine: containers are killed under load, one after the other. Each
 * time all accepted events have to be counted once, and answers to continue, which are held against a plain count.
 * `deploy/test-cluster` runs it.
 */
/* eslint no-template-curly-in-string: off -- a shell expands them */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, suite, test } from 'node:test'
import { promisify } from 'node:util'

import { HOUR_MS } from 'relay-rollups'

import { until } from 'relay-test-support/until.ts'
import { assertCounted, startLoad, startQuestions, type Counted, type Load, type Requests } from './load.ts'
import { docker, openSite } from './site.ts'
import { assertWatched } from './watched.ts'

const run = promisify(execFile)
const site = await openSite('compose.yaml:compose.cluster.yaml')
after(() => site.close())

const ofMinutes = { timeout: 600_000 }
const SETTLED = 'settled'
const PROGRESS = 10
const PROGRESS_MAX_MS = 120_000

/** Expected answers about the zone SETTLED. */
let settled: Counted

/** The clients of a site, while something is done to it. */
interface Clients {
  readonly load: Load
  readonly v1: Requests
  readonly events: Requests
  /** Waits until each of them has succeeded some times more. */
  progress (what: string): Promise<void>
}

/** A line for each thing that was done to the site. */
const figures = [
  '| what | events | failed | gap s | answers of v1 | failed | gap s | of /api/events | failed | gap s |',
  '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |'
]
after(() => console.log(figures.join('\n')))

/** Runs `work` while clients send and ask. Afterwards all that was accepted has to be counted once. */
async function underLoad (zone: string, work: (clients: Clients) => Promise<void>): Promise<void> {
  const load = startLoad(site.ports.api, zone, Date.now() - HOUR_MS)
  const v1 = startQuestions(site.ports.api, 'v1', SETTLED, settled)
  const events = startQuestions(site.ports.api, 'events', SETTLED, settled)
  const clients = Object.entries({ load, v1, events })
  const progress = async (what: string) => {
    const before = clients.map(([, it]) => it.succeeded)
    const behind = () => clients.filter(([, it], n) => it.succeeded < before[n] + PROGRESS)
    await until(() => `progress ${what}: ${behind().map(([name, it]) => `${name} ${it.failed.at(-1)}`).join('; ')}`,
      () => behind().length === 0, PROGRESS_MAX_MS)
  }
  try {
    await progress('at first')
    await work({ load, v1, events, progress })
  } catch (error) {
    for (const [, it] of clients) it.stop().catch(() => {}) // not to be waited for: the site may be down
    throw error
  }
  await Promise.all(clients.map(([, it]) => it.stop()))
  await assertCounted(site, load, zone)
  const cells = clients.flatMap(([, it]) => [it.succeeded, it.failed.length, (it.longestGapMs / 1_000).toFixed(1)])
  figures.push(`| ${zone} | ${load.sent.count} | ${cells.slice(1).join(' | ')} |`)
  console.log(figures.at(-1))
  for (const [name, { failed }] of clients) if (failed.length > 0) console.log(`${zone}, ${name}: ${failed[0]}`)
}

suite('docker compose with compose.cluster.yaml', () => {
  test('build and up -d: every container is well', { timeout: 1_200_000 }, async () => {
    await site.paste('docker compose build')
    const startMs = performance.now()
    await site.paste('docker compose up -d')
    await site.untilWell()
    console.log(`all well after ${((performance.now() - startMs) / 1_000).toFixed(1)} s`)
    const counts = Map.groupBy(await site.containers(), it => it.service)
    for (const [service, count] of Object.entries({ processor: 3, api: 2, ingest: 2 })) {
      assert.equal(counts.get(service)?.length, count)
    }
  })

  test('each partition is on three brokers', async () => {
    const { stdout } = await run('kcat', ['-b', `localhost:${site.ports.kafka}`, '-L', '-J'])
    const { topics } = JSON.parse(stdout) as {
      topics: Array<{ topic: string, partitions: Array<{ replicas: unknown[] }> }>
    }
    for (const name of ['iot-events', '__consumer_offsets']) {
      const { partitions } = topics.find(it => it.topic === name)!
      assert.ok(partitions.length > 0 && partitions.every(it => it.replicas.length === 3), name)
    }
  })

  test('APIs answer from the replica, and reach the primary by the pooler', async () => {
    await until(
      'the replica to be read', async () => (await site.compose('logs', 'api')).includes('reads now go to the replica')
    )
    for (const service of ['api', 'ingest']) assert.match(await site.compose('logs', service), /"mode":"transaction".*through a pooler/)
    assert.match(await site.paste(
      'docker compose exec -T postgres psql -U relay ' +
        '-c "select application_name, state, replay_lag from pg_stat_replication"'
    ), /walreceiver +\| streaming/)
  })

  test('all events of a quiet site are counted once', ofMinutes, async () => {
    const load = startLoad(site.ports.api, SETTLED, Date.now() - HOUR_MS)
    await until('some events', () => load.succeeded >= PROGRESS)
    await load.stop()
    await assertCounted(site, load, SETTLED)
    settled = load.sent
  })

  const services = [
    'kafka', 'kafka-2', 'kafka-3', 'postgres', 'postgres-replica', 'pooler', 'processor', 'api', 'ingest', 'simulator'
  ]
  for (const service of services) {
    test(`${service} is killed under load: all goes on without it, and with it again`, ofMinutes, async () => {
      await underLoad(`${service}-killed`, async ({ progress }) => {
        const [{ id }] = await site.containers(service)
        await docker('kill', id)
        await progress(`without ${service}`)
        await docker('start', id)
        await site.untilWell()
        await progress(`with ${service} again`)
      })
    })
  }

  test('the proxy is killed under load: the engine starts it again', ofMinutes, async () => {
    await underLoad('proxy-killed', async ({ progress }) => {
      await site.crash((await site.containers('proxy'))[0].id)
      await progress('with the proxy again')
      await site.untilWell()
    })
  })

  test('an API of each kind is stopped under load: it drains first, and no request fails', ofMinutes, async () => {
    await underLoad('drained', async ({ load, v1, events, progress }) => {
      for (const service of ['api', 'ingest']) {
        const [{ id }] = await site.containers(service)
        await docker('stop', id)
        await progress(`without one ${service}`)
        await docker('start', id)
        await site.untilWell()
      }
      for (const { failed } of [load, v1, events]) assert.deepEqual(failed, [])
    })
  })

  test('a rolling update under load: every container of the programs is replaced, and no request fails', ofMinutes, async () => {
    await underLoad('rolling-update', async ({ load, v1, events, progress }) => {
      const services = ['processor', 'ingest', 'api']
      const ids = async () => (await site.containers()).filter(it => services.includes(it.service)).map(it => it.id)
      const before = await ids()
      await site.paste('deploy/rolling-update processor ingest api')
      const updated = await ids()
      assert.equal(updated.length, before.length)
      assert.deepEqual(updated.filter(it => before.includes(it)), [])
      await progress('with new containers')
      for (const { failed } of [load, v1, events]) assert.deepEqual(failed, [])
    })
  })

  test('two of three brokers are killed: events are refused, none that was accepted is lost, and answers go on', ofMinutes, async () => {
    await underLoad('two-brokers-killed', async ({ load, v1, progress }) => {
      const brokers = [...await site.containers('kafka-2'), ...await site.containers('kafka-3')].map(it => it.id)
      await docker('kill', ...brokers)
      await until('events to be refused', () => load.failed.length >= 3, PROGRESS_MAX_MS)
      const answered = v1.succeeded
      await until('answers', () => v1.succeeded >= answered + PROGRESS, PROGRESS_MAX_MS)
      await docker('start', ...brokers)
      await site.untilWell()
      await progress('with all brokers again')
    })
  })

  const copyReplica = async () => {
    await site.paste('docker compose rm -fsv postgres-replica')
    await site.paste('docker volume rm ${COMPOSE_PROJECT_NAME:-relay}_postgres-replica-data')
    await site.paste('docker compose up -d postgres-replica')
    await site.untilWell()
    await until(
      'it to follow',
      async () => await site.psql("select count(*) from pg_stat_replication where state = 'streaming'") === '1'
    )
  }

  test('a replica is copied again under load', ofMinutes, async () => {
    await underLoad('replica-copied', async ({ progress }) => {
      await copyReplica()
      await progress('with another replica')
    })
  })

  test('the primary is lost with its data under load: the replica has them, and what it lacks is read again', ofMinutes, async () => {
    await underLoad('primary-lost', async ({ progress }) => {
      await docker('kill', (await site.containers('postgres'))[0].id) // it does not get to send its last commits
      await site.paste('docker compose rm -fsv postgres postgres-replica')
      await site.paste('docker volume rm ${COMPOSE_PROJECT_NAME:-relay}_postgres-data')
      await site.paste(
        'docker compose run --rm --no-deps --entrypoint bash ' +
        '-v ${COMPOSE_PROJECT_NAME:-relay}_postgres-replica-data:/replica postgres ' +
        '-c \'cp -a /replica/18 /var/lib/postgresql/ && rm "$PGDATA/standby.signal"\''
      )
      await site.paste('docker compose up -d postgres')
      await copyReplica()
      await progress('with another primary')
    })
  })

  test('relay verify finds no difference', ofMinutes, async () => {
    console.log(await site.verify())
  })

  test('--profile monitoring: Prometheus reaches every part', { timeout: 300_000 }, async () => {
    await assertWatched(site, 10)
    console.log(await docker('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}}'))
  })

  test('down --volumes removes all of it', { timeout: 120_000 }, async () => {
    await site.close()
    assert.deepEqual(await site.containers(), [])
  })
})
