/**
 * compose.cluster.yaml over compose.yaml: brokers, a replica and a pooler. `deploy/test-cluster` tries it on an engine.
 */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import getPort from 'get-port'
import { databaseUserOf } from 'relay-access'
import { createLogger } from 'relay-common'

import { startApi } from '../../relay-api/src/app.ts'
import { apiSettings, readApiConfig } from '../../relay-api/src/config.ts'
import { readCliConfig } from '../../relay-cli/src/config.ts'
import { behindPgbouncer, runPgbouncer } from 'relay-test-support/local-pgbouncer.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { readCluster, readOverlay } from './support/cluster.ts'
import { environmentOf, readCompose, settingsOf } from './support/compose.ts'
import { environmentOf as environmentOfImage, PINNED, ROOT } from './support/dockerfile.ts'

const { services, volumes } = readCluster()
const one = readCompose()
const added = Object.keys(readOverlay('compose.cluster.yaml').services)
const brokers = ['kafka', 'kafka-2', 'kafka-3']
const pgbouncerIni = join(ROOT, 'deploy/cluster/pgbouncer.ini')

for (const name of added) {
  test(`${name}: has rights, limits and ports as in compose.yaml`, () => {
    const service = services[name]
    const twin = one.services[name] ?? one.services[name.split('-')[0]] ?? one.services.prometheus
    for (const setting of ['restart', 'cap_drop', 'cap_add', 'privileged', 'security_opt', 'logging'] as const) {
      assert.deepEqual(service[setting], twin[setting], setting)
    }
    assert.deepEqual(Object.keys(service.deploy.resources.limits).sort(), ['memory', 'pids'])
    if (!/^(kafka|postgres)/.test(name)) assert.equal(service.read_only, true)
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/)
    for (const needed of Object.keys(service.depends_on ?? {})) assert.ok(needed in services, `no service ${needed}`)
    assert.ok(service.healthcheck !== undefined)
    if (service.image.includes('/')) assert.match(service.image, PINNED)
  })
}

test('the proxy alone has the port of the API, and each broker one of its own', () => {
  const ports = Object.values(services).flatMap(it => it.ports ?? []).map(it => it.split(':')[1])
  assert.equal(new Set(ports).size, ports.length)
  assert.deepEqual(services.proxy.ports, one.services.api.ports)
  for (const name of ['api', 'ingest', 'postgres-replica', 'pooler']) {
    assert.deepEqual(services[name].ports ?? [], [], name)
  }
  for (const name of brokers) {
    const advertised = String(services[name].environment.KAFKA_ADVERTISED_LISTENERS)
    assert.equal(advertised, `CONTAINERS://${name}:9092,MACHINE://localhost:${services[name].ports![0].split(':')[1]}`)
  }
})

test('brokers are one cluster, which keeps three copies and writes at least two', () => {
  const settings = brokers.map(it => environmentOf(services[it]))
  const voters = settings.map(({ KAFKA_NODE_ID: id }, n) => `${id}@${brokers[n]}:9093`).join(',')
  const different = new Set(['KAFKA_NODE_ID', 'KAFKA_ADVERTISED_LISTENERS'])
  for (const it of settings) {
    assert.equal(it.KAFKA_CONTROLLER_QUORUM_VOTERS, voters)
    for (const [name, value] of Object.entries(it)) {
      if (!different.has(name)) assert.equal(value, settings[0][name], name)
      if (name.endsWith('REPLICATION_FACTOR')) assert.equal(value, '3', name)
      if (/MIN_ISR$|MIN_INSYNC_REPLICAS$/.test(name)) assert.equal(value, '2', name)
    }
  }
  assert.equal(new Set(settings.map(it => it.KAFKA_NODE_ID)).size, 3)
  const bootstrap = brokers.map(it => `${it}:9092`).join(',')
  for (const name of ['simulator', 'processor', 'api', 'ingest', 'relay']) {
    assert.equal(services[name].environment.KAFKA_BOOTSTRAP_SERVERS, bootstrap, name)
  }
})

test('each server has its data in a volume of its own', () => {
  const data = [...brokers, 'postgres', 'postgres-replica'].map(
    name => services[name].volumes!.map(it => it.split(':')[0]).find(it => it in volumes)!
  )
  assert.equal(new Set(data).size, 5)
})

for (const name of ['api', 'ingest']) {
  test(`${name}: reaches the primary by the pooler, listens on it directly, and reads from the replica, as its own user`, () => {
    const environment = settingsOf(services[name])
    assert.deepEqual(Object.keys(environment).filter(it => !(it in apiSettings.properties)), [])
    const config = readApiConfig({ ...environmentOfImage('api'), ...environment })
    assert.equal(config.POSTGRES_HOST, 'pooler')
    const url = (host: string) => `postgresql://${databaseUserOf('api')}@${host}:5432/${config.POSTGRES_DB}`
    assert.deepEqual(
      [config.DATABASE_LISTEN_URL, config.DATABASE_REPLICA_URL], [url('postgres'), url('postgres-replica')]
    )
    assert.ok(services[name].volumes!.includes('api-password:/passwords/api:ro'))
    assert.ok(config.ALLOWED_HOSTS.split(',').includes(new URL(String(services.probe.environment.RELAY_URL)).hostname))
    assert.ok(
      parseInt(services[name].stop_grace_period) * 1_000 > config.SHUTDOWN_DRAIN_MS + config.SHUTDOWN_TIMEOUT_MS
    )
  })
}

test('the proxy knows both kinds of APIs by name, and Prometheus all of them by one', () => {
  assert.deepEqual(services.api.networks!.default.aliases, ['query'])
  assert.deepEqual(services.ingest.networks!.default.aliases, ['api'])
})

test('PostgreSQL has connections for all of them and `relay` at once, and the replica as many', async () => {
  const { api, ingest, processor, relay, postgres, 'postgres-replica': replica } = services
  assert.deepEqual(replica.command, postgres.command)
  const max = Number(postgres.command!.find(it => it.startsWith('max_connections='))!.split('=')[1])
  const [, pool] = (await readFile(pgbouncerIni, 'utf8')).match(/^default_pool_size = (\d+)$/m)!
  const apis = api.scale! + ingest.scale!
  const apiPool = readApiConfig(settingsOf(api)).DATABASE_POOL_MAX
  const perProcessor = readProcessorConfig(settingsOf(processor)).DATABASE_POOL_MAX + 1
  const listening = 2 * apis
  const reserved = 10 // PostgreSQL's own for superusers, the exporter's, and those of who looks after it
  const needed = processor.scale! * perProcessor + Number(pool) + listening +
    readCliConfig(settingsOf(relay)).DATABASE_POOL_MAX + reserved
  assert.ok(max >= needed, `${needed} connections`)
  assert.ok(max >= apis * (apiPool + 1) + reserved, 'of the replica')
})

test('an API starts behind a real PgBouncer with these settings', behindPgbouncer, async t => {
  const { url, database } = await openLocalPostgres(t)
  const { hostname, port, username, password, pathname } = new URL(url)
  const timezone = services.postgres.command!.find(it => it.startsWith('timezone='))!.split('=')[1]
  await database.query(`alter database ${pathname.slice(1)} set timezone = '${timezone}'`) // what the server's command says
  const folder = await mkdtemp(join(tmpdir(), 'relay-compose-cluster-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const users = join(folder, 'users.txt')
  await writeFile(users, `"${username}" "${password}"\n`)
  const file = join(folder, 'pgbouncer.ini')
  const ownPort = await getPort({ host: '127.0.0.1' })
  await writeFile(file, (await readFile(pgbouncerIni, 'utf8'))
    .replace('relay = host=postgres port=5432', `${pathname.slice(1)} = host=${hostname} port=${port}`)
    .replace('listen_addr = *', 'listen_addr = 127.0.0.1').replace('6432', String(ownPort))
    .replace('/tmp/users.txt', users))
  const pooled = new URL(url)
  pooled.port = String(ownPort)
  await runPgbouncer(t, file, pooled.href)
  const api = await startApi(readApiConfig({
    ...environmentOfImage('api'),
    DATABASE_URL: pooled.href,
    DATABASE_LISTEN_URL: url,
    API_TOKENS: 'token-of-the-tests',
    API_PORT: '0',
    METRICS_PORT: '0'
  }), createLogger('test', 'silent'))
  await api.close()
})
