/** The examples beside the chart: servers by operators fit to the values that use them; the guide's commands work. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { databaseRoles, databaseUserOf } from 'relay-access'

import { runCli } from '../../relay-cli/test/support/run-cli.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { run } from 'relay-test-support/install-once.ts'
import { helm } from '../kubernetes/tools.ts'
import { CHART, readExample, readValues, renderSite, withTools } from './support/chart.ts'
import { ROOT } from './support/dockerfile.ts'

const withHelm = await withTools(helm)
const values = readValues(join(CHART, 'examples/values-operators.yaml'))
const strimzi = readExample('strimzi')
const cloudNative = readExample('cloudnative-pg')
const ofKind = (kind: string) => [...strimzi, ...cloudNative].filter(it => it.kind === kind)
const preset = readProcessorConfig({})

test('Strimzi makes the topics as Relay would, and each program a user with the rights of docs/security.md', () => {
  const [events, deadLetters] = ofKind('KafkaTopic')
  assert.deepEqual([events, deadLetters].map(it => it.metadata.name), [preset.EVENTS_TOPIC, preset.DEAD_LETTERS_TOPIC])
  assert.equal(events.spec.partitions, preset.EVENTS_PARTITIONS)
  assert.equal(events.spec.config['retention.ms'], preset.EVENTS_RETENTION_HOURS * 3_600_000)
  assert.equal(events.spec.config['message.timestamp.type'], 'LogAppendTime')

  const page = readFileSync(join(ROOT, 'docs/security.md'), 'utf8').split('## Rights in Kafka')[1]
  for (const { metadata, spec } of ofKind('KafkaUser')) {
    const [, ofEvents, ofDeadLetters] = page.match(new RegExp(`^\\| ${metadata.name} \\| ([^|]+) \\| ([^|]+) \\|`, 'm'))!
    const rightsOn = (topic: string): string[] => spec.authorization.acls.find(
      (it: any) => it.resource.name === topic
    ).operations
    for (const [topic, said] of [[preset.EVENTS_TOPIC, ofEvents], [preset.DEAD_LETTERS_TOPIC, ofDeadLetters]]) {
      const documented = said.split(',').map(it => it.trim())
      assert.deepEqual(rightsOn(topic).filter(it => !documented.includes(it)), [], `${metadata.name} on ${topic}`)
    }
  }
  const { processor, api, bootstrapServers, sasl, tls } = values.kafka
  assert.deepEqual(ofKind('KafkaUser').map(it => it.metadata.name).sort(), [api.username, processor.username].sort())
  for (const login of [processor, api]) {
    assert.equal(login.existingSecret, login.username, 'Strimzi names the Secret after the user')
  }
  const [{ metadata: { name }, spec: { kafka } }] = ofKind('Kafka')
  assert.equal(bootstrapServers, `${name}-kafka-bootstrap:${kafka.listeners[0].port}`)
  assert.equal(kafka.listeners[0].authentication.type, sasl.mechanism.toLowerCase())
  assert.equal(tls.ca.existingSecret, `${name}-cluster-ca-cert`)
  assert.equal(kafka.config['group.consumer.session.timeout.ms'], preset.SESSION_TIMEOUT_MS)
})

test('CloudNativePG has the database, its users and the pooler that the values name', () => {
  const [cluster] = ofKind('Cluster')
  const [pooler] = ofKind('Pooler')
  const { database } = values
  assert.equal(database.host, `${cluster.metadata.name}-rw`)
  assert.equal(database.tls.ca.existingSecret, `${cluster.metadata.name}-ca`)
  assert.equal(database.owner.existingSecret, `${cluster.metadata.name}-app`)
  assert.equal(database.api.pooler.host, pooler.metadata.name)
  assert.deepEqual(cluster.spec.certificates.serverAltDNSNames, [pooler.metadata.name])
  assert.equal(pooler.spec.pgbouncer.poolMode, 'session', 'another needs DATABASE_LISTEN_URL')
  const { initdb } = cluster.spec.bootstrap
  const presets = readValues(join(CHART, 'values.yaml')).database
  assert.deepEqual([initdb.database, initdb.owner], [presets.name, presets.owner.user])
  assert.deepEqual(cluster.spec.managed.roles.map(
    (it: any) => ({ name: it.name, inRoles: it.inRoles, secret: it.passwordSecret.name })
  ), [
    {
      name: databaseUserOf('processor'), inRoles: [databaseRoles.processor], secret: database.processor.existingSecret
    },
    { name: databaseUserOf('api'), inRoles: [databaseRoles.api], secret: database.api.existingSecret }
  ])
  for (const kind of ['ScheduledBackup', 'Pooler']) {
    assert.equal(ofKind(kind)[0].spec.cluster.name, cluster.metadata.name)
  }
})

test('the pooler has room for all connections of the API', () => {
  const [{ spec }] = ofKind('Pooler')
  // and one more of each while they are replaced
  const connections = (values.query.replicas + values.ingest.replicas + 2) * 11
  assert.ok(Number(spec.pgbouncer.parameters.max_client_conn) >= connections)
  assert.ok(Number(spec.pgbouncer.parameters.default_pool_size) >= connections, 'one instance may get all of them')
})

test('the owner that CloudNativePG makes can migrate, though it may create no role', async t => {
  const [{ spec }] = ofKind('Cluster')
  const made = spec.bootstrap.initdb.postInitSQL.map((it: string) => it.match(/^create role (\w+) nologin$/)![1])
  assert.deepEqual(made.sort(), Object.values(databaseRoles).sort())

  // the roles are those of the whole server, and here by now
  const { database, url } = await openLocalPostgres(t, { migrated: false })
  const owner = Object.assign(new URL(url), { username: 'chart_owner', password: 'of-the-chart' })
  await database.query("create role chart_owner login password 'of-the-chart' nosuperuser nocreaterole")
  await database.query(`alter database ${owner.pathname.slice(1)} owner to chart_owner`)
  const { code, stderr } = await runCli(
    { environment: { DATABASE_URL: owner.href, EVENT_LOG: 'postgres' } }, ['migrate']
  )
  assert.equal(code, 0, stderr)
  const rights = await database.query(`
    select has_table_privilege('relay_api', 'rollups_minute', 'select') as api,
           has_table_privilege('relay_processor', 'progress', 'update') as processor`)
  assert.deepEqual(rights, [{ api: true, processor: true }])
})

test('KEDA finds the processors by their name, and starts no more than there are partitions', withHelm, async () => {
  const [{ spec }] = readExample('keda')
  const site = await renderSite('operators')
  const { kind, name } = spec.scaleTargetRef
  assert.ok(site.ofKind(kind).some(it => it.metadata.name === name))
  assert.equal(spec.maxReplicaCount, preset.EVENTS_PARTITIONS)
  const [, metric] = spec.triggers[0].metadata.query.match(/^max\((\w+)\{namespace="relay"\}\)$/)
  assert.ok(readFileSync(join(ROOT, 'relay-api/src/lag.ts'), 'utf8').includes(`name: '${metric}'`))
  const full = await renderSite('full')
  assert.equal(full.ofKind('StatefulSet')[0].spec.replicas, undefined, 'null: KEDA decides')
})

test('the commands of docs/kubernetes.md name files that are there, and those of Helm work', withHelm, async () => {
  const page = readFileSync(join(ROOT, 'docs/kubernetes.md'), 'utf8')
  const commands = [...page.matchAll(/^ *```sh\n([\s\S]*?)^ *```/gm)]
    .flatMap(([, block]) => block.replace(/\\\n\s*/g, '').split('\n')).map(it => it.trim()).filter(it => it !== '')
  assert.ok(commands.length > 15)
  for (const file of commands.flatMap(it => it.match(/(?<=[ =])deploy\/\S+/g) ?? [])) assert.ok(existsSync(join(ROOT, file)), file)

  const [, copied] = commands.find(it => it.startsWith('cp '))!.split(' ')
  const rendering = commands.filter(it => it.startsWith('helm'))
    .map(it => it.replace('--values values.yaml', `--values ${copied}`).replace('upgrade --install', 'template'))
  assert.ok(rendering.length >= 4)
  for (const it of rendering) await run(await helm.install(), it.split(' ').slice(1))
})
