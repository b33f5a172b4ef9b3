import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import getPort from 'get-port'
import { createLogger } from 'relay-common'
import { openKafkaEventLog, type EventLog } from 'relay-event-log'

import { until } from 'relay-test-support/until.ts'
import { findJava, kafkaTool, startKafka, type LocalKafkaSettings } from '../src/kafka.ts'
import { classArchivePath, run } from '../src/kafka-install.ts'

// Java decodes file names by the locale: it must work without one, for any path
for (const name of ['LANG', 'LC_ALL', 'LC_CTYPE']) delete process.env[name]
const log = createLogger('test', 'fatal')
const cacheDir = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))

suite('a local Kafka', () => {
  test('keeps its topics and records after a stop, and after a kill -9', async t => {
    const settings = await prepare(t)
    if (!settings) return
    const topic = 'kept'

    const first = await startKafka(settings)
    t.after(() => first.close())
    const id = await inLog(first.bootstrapServers, async eventLog => {
      const { topicId } = await eventLog.ensureTopic(
        { name: topic, partitions: 3, retentionMs: 3_600_000, replicationFactor: -1 })
      const producer = await eventLog.openProducer()
      await producer.send(topic, [{ key: 'a', value: 'one' }])
      await producer.close()
      return topicId
    })
    await first.close()
    assert.throws(() => process.kill(first.pid, 0), { code: 'ESRCH' })

    const second = await startKafka(settings)
    t.after(() => second.close())
    process.kill(second.pid, 'SIGKILL')
    await second.exited

    const third = await startKafka(settings)
    t.after(() => third.close())
    await inLog(third.bootstrapServers, async eventLog => {
      assert.deepEqual(await eventLog.describeTopic(topic), { name: topic, topicId: id, partitions: 3 })
      const offsets = await eventLog.readOffsets(topic)
      assert.equal(offsets.reduce((sum, it) => sum + it.endOffset, 0n), 1n)
    })
  })

  test('has an archive of its classes made beside its work, and no stop waits for it', async t => {
    const settings = await prepare(t)
    if (!settings) return
    const ownCache = await mkdtemp(join(tmpdir(), 'relay-test-jars-'))
    t.after(() => rm(ownCache, { recursive: true, force: true }))
    const archive = classArchivePath(ownCache)
    const [jars, ownJars] = [cacheDir, ownCache].map(it => dirname(classArchivePath(it)))
    await mkdir(ownJars)
    for (const name of await readdir(jars)) {
      if (/\.jar$|^complete$/.test(name)) await copyFile(join(jars, name), join(ownJars, name))
    }
    const others = async () => (await readdir(ownJars)).filter(it => it.startsWith('broker-classes.jsa.'))

    const short = await startKafka({ ...settings, cacheDir: ownCache, archiveAfterMs: 0 })
    t.after(() => short.close())
    await until('an archive in progress', () => existsSync(join(settings.dataDir, 'classes.whole')))
    await short.close()
    assert.ok(!existsSync(archive))
    assert.deepEqual(await others(), [])

    const first = await startKafka({ ...settings, cacheDir: ownCache, archiveAfterMs: 0 })
    t.after(() => first.close())
    await until('an archive', () => existsSync(archive), 300_000) // it only uses idle time
    await first.close()
    assert.deepEqual(await others(), [])
    const second = await startKafka({ ...settings, cacheDir: ownCache })
    t.after(() => second.close())
    if (process.platform === 'linux') assert.match(await readFile(`/proc/${second.pid}/maps`, 'utf8'), /broker-classes\.jsa$/m)
  })

  test('takes over from a leftover broker on the same data', async t => {
    const settings = await prepare(t)
    if (!settings) return
    const left = await startKafka(settings)
    t.after(() => left.close())
    const next = await startKafka(settings)
    t.after(() => next.close())
    await left.exited
    assert.notEqual(next.pid, left.pid)
    await inLog(next.bootstrapServers, async eventLog => assert.equal(await eventLog.describeTopic('none'), undefined))
  })

  test('on a port in use is one line that names the port and the option', async t => {
    const settings = await prepare(t)
    if (!settings) return
    const server = createServer()
    await new Promise<void>(resolve => server.listen(settings.port, '127.0.0.1', resolve))
    t.after(() => server.close())
    await assert.rejects(startKafka(settings), {
      code: 'RELAY_PORT_IN_USE', message: `port ${settings.port} is in use; use another for Kafka with --kafka-port`
    })
  })

  test('that can\'t start reports the message of the JVM, and leaves no process', async t => {
    const settings = await prepare(t)
    if (!settings) return
    await mkdir(join(settings.dataDir, 'log'), { recursive: true })
    await writeFile(join(settings.dataDir, 'log', 'meta.properties'), 'version=1\nnode.id=2\ncluster.id=other\n')
    await assert.rejects(startKafka(settings), {
      code: 'RELAY_EVENT_LOG_UNREACHABLE', message: /^Kafka did not start; its last lines .*Stored node id 2/s
    })
    const pid = Number(await readFile(join(settings.dataDir, 'kafka.pid'), 'utf8'))
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
  })

  test('with invalid settings names them', async t => {
    const settings = await prepare(t)
    if (!settings) return
    await assert.rejects(startKafka({ ...settings, properties: ['num.network.threads=0'] }), {
      code: 'RELAY_CONFIG_INVALID', message: /could not create its data folder .*num\.network\.threads/
    })
  })

  test('runs the tools of its distribution', async t => {
    const settings = await prepare(t)
    if (!settings) return
    const { command, args } = kafkaTool(cacheDir, 'org.apache.kafka.tools.ConsumerPerformance', ['--version'])
    assert.match(await run(command, args), /4\.3\.1/)
  })
})

test('a machine without Java reports what is missing', async t => {
  const { JAVA_HOME } = process.env
  t.after(() => {
    if (JAVA_HOME === undefined) delete process.env.JAVA_HOME
    else process.env.JAVA_HOME = JAVA_HOME
  })
  process.env.JAVA_HOME = join(tmpdir(), 'no-java-here')
  const found = await findJava()
  assert.ok(found.kind === 'missing')
  assert.match(found.what, /^Java 17 or newer/)
})

async function prepare (t: TestContext): Promise<LocalKafkaSettings | undefined> {
  const java = await findJava(cacheDir)
  if (java.kind === 'missing') {
    if (process.env.CI) assert.fail(`these tests need ${java.what}`)
    t.skip(`a local Kafka needs ${java.what}`)
    return undefined
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'relay-test-käfka-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  return { cacheDir, dataDir, port: await getPort({ host: '127.0.0.1' }), log }
}

async function inLog<T> (servers: string, work: (eventLog: EventLog) => Promise<T>): Promise<T> {
  const eventLog = await openKafkaEventLog({ bootstrapServers: [servers], clientId: 'relay-test' }, log)
  try {
    return await work(eventLog)
  } finally {
    await eventLog.close()
  }
}
