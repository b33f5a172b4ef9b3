import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'

import getPort from 'get-port'

import { describeChoice, settleEventLog } from '../src/event-log.ts'
import { findJava } from '../src/kafka.ts'
import { explainMaven } from '../src/maven-failure.ts'

const descriptor = '\u001b[0m[ERROR] Failed to execute goal on project relay-local-kafka: Could not resolve ' +
  'dependencies: Failed to read ' +
  'artifact descriptor for org.apache.kafka:kafka_2.13:jar:4.3.1: Could not transfer artifact ' +
    'org.apache.kafka:kafka_2.13:pom:4.3.1 ' +
  'from/to central (https://repo.example/maven2): transfer failed for https://repo.example/maven2/org/kafka_2.13-4.3.1.pom: '

const cases: [said: string, means: RegExp][] = [
  [`${descriptor}Unknown host repo.example: Temporary failure in name resolution -> [Help 1]\n[ERROR] \n[ERROR] To see the full`,
    /^can't reach https:\/\/repo\.example \(Unknown host repo\.example: Temporary failure in name resolution\)$/],
  [`${descriptor}Connect to 127.0.0.1:1 [/127.0.0.1] failed: Connection refused -> [Help 1]`,
    /^can't reach https:\/\/repo\.example \(Connect to .* failed: Connection refused\)$/],
  ['[ERROR] Failed to execute goal: /m2/kafka.jar -> /cache/kafka.jar: No space left on device -> [Help 1]\n[ERROR] \n',
    /^no space left on the disk/],
  ['[ERROR] [ERROR] Some problems were encountered while processing the POMs:\n[FATAL] Non-readable POM ' +
    '/clone/pom.xml: no more data\n',
  /^Non-readable POM \/clone\/pom\.xml/],
  ['The JAVA_HOME environment variable is not defined correctly,\nthis environment variable is needed to run this ' +
    'program.\n',
  /^The JAVA_HOME environment variable is not defined correctly/],
  ['', /gave no reason/],
  ['x'.repeat(10_000), /^x{300}…$/]
]

suite('a failed Maven', () => {
  for (const [said, means] of cases) {
    test(`is explained: ${means.source}`, () => assert.match(explainMaven(said), means))
  }

  test('without network and jars the event log is in PostgreSQL, with the reason; requested Kafka is refused', async t => {
    const java = await findJava()
    if (java.kind === 'missing') {
      assert.ok(!process.env.CI, `this test needs ${java.what}`)
      return t.skip(`a local Kafka needs ${java.what}`)
    }
    const folder = await mkdtemp(join(tmpdir(), 'relay-test-maven-'))
    t.after(() => rm(folder, { recursive: true }))
    const port = await getPort() // without a proxy
    cutOff(t, `-Dmaven.repo.local=${join(folder, 'repository')} -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=${port}`)
    const cacheDir = join(folder, 'cache')
    const said: string[] = []
    const settle = (asked?: 'kafka') =>
      settleEventLog({ asked }, cacheDir, line => said.push(line), new AbortController().signal)

    const choice = await settle()
    assert.match(said.join(), /^Fetching the jars of Kafka with Maven/)
    assert.match(describeChoice(choice),
      /^Event log: PostgreSQL \(Maven could not fetch Kafka: can't reach https?:\/\/\S+ \(.*Connection refused.*\)\)$/)
    await assert.rejects(settle('kafka'), {
      code: 'RELAY_CONFIG_INVALID',
      message: /^Maven could not fetch Kafka: .*Connection refused.*; or use --event-log postgres$/
    })
    assert.deepEqual(await readdir(cacheDir), [], 'and nothing half fetched is left')
  })
})

/** Hides Maven's cache and the network from Maven during a test. */
function cutOff (t: TestContext, options: string): void {
  const before = process.env.MAVEN_OPTS
  process.env.MAVEN_OPTS = options
  t.after(() => {
    if (before === undefined) delete process.env.MAVEN_OPTS
    else process.env.MAVEN_OPTS = before
  })
}
