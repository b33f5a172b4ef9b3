import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

import { createLogger } from 'relay-common'

import { findJava, installKafka, kafkaTool } from '../../relay-stack/src/kafka.ts'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { readCluster } from './support/cluster.ts'
import { readCompose } from './support/compose.ts'
import { ROOT } from './support/dockerfile.ts'

const run = promisify(execFile)
const cacheDir = join(ROOT, '.relay/kafka')

for (const [where, kafka] of [
  ['compose.yaml', readCompose().services.kafka], ['compose.cluster.yaml', readCluster().services['kafka-2']]
] as const) {
  test(`a real Kafka of that version formats its log with the settings of ${where}`, async t => {
    const java = await findJava(cacheDir)
    if (java.kind === 'missing') {
      if (process.env.CI) throw new Error(`this test needs ${java.what}`)
      t.skip(`Kafka needs ${java.what}`)
      return
    }
    await installKafka(cacheDir, createLogger('test', 'warn'))
    const folder = await mkdtemp(join(tmpdir(), 'relay-compose-kafka-'))
    t.after(() => rm(folder, { recursive: true, force: true }))

    // the image makes properties of its variables: KAFKA_NODE_ID is node.id
    const { CLUSTER_ID, KAFKA_HEAP_OPTS, ...settings } = kafka.environment
    const properties = Object.entries({ ...settings, KAFKA_LOG_DIRS: join(folder, 'log') })
      .map(([name, value]) => `${name.replace('KAFKA_', '').toLowerCase().replaceAll('_', '.')}=${value}`)
    await writeFile(join(folder, 'server.properties'), properties.join('\n'))

    const { command, args } = kafkaTool(cacheDir, 'kafka.tools.StorageTool',
      ['format', '--cluster-id', String(CLUSTER_ID), '--config', join(folder, 'server.properties')],
      [String(KAFKA_HEAP_OPTS)])
    await run(command, args)
    assert.match(await readFile(join(folder, 'log/meta.properties'), 'utf8'), new RegExp(`^cluster.id=${CLUSTER_ID}$`, 'm'))
  })
}

test('the health check of compose.yaml holds where a broker answers, and fails where nobody or somebody else does', async t => {
  const kafka = await openLocalKafka(t)
  if (!kafka) return
  const [, command, ...args] = readCompose().services.kafka.healthcheck!.test!
  const check = (port: string) => run(command, args.map(it => it.replace('9092', port)), { timeout: 10_000 })
  await check(kafka.bootstrapServers.split(':')[1])

  const other = createServer(socket => {
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    socket.on('error', () => {}) // the check hangs up on it
  })
  await once(other.listen(0, '127.0.0.1'), 'listening')
  const { port } = other.address() as AddressInfo
  await assert.rejects(check(String(port)))
  other.close()
  await once(other, 'close')
  await assert.rejects(check(String(port)), /Connection refused/)
})
