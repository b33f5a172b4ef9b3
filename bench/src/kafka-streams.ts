/**
 * The same minute windows in Kafka Streams (`../kafka-streams`), tuned: in memory only, or exactly once. Maven builds
 * it on first use, into a folder beside Kafka's jars named after its sources.
 */
import { spawn } from 'node:child_process'
import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { javaCommand } from '../../relay-stack/src/kafka-install.ts'
import { installOnce, run } from 'relay-test-support/install-once.ts'
import type { Backlog } from './backlog.ts'
import { endWith } from './children.ts'
import { readUsage, type Usage } from './process-usage.ts'
import { describeRun, KAFKA_STREAMS, KAFKA_STREAMS_EXACTLY_ONCE, type Run } from './run.ts'
import { readServersCpu, type BenchServers } from './servers.ts'

const project = fileURLToPath(new URL('../kafka-streams', import.meta.url))

/** Durability of the windows (`Guarantee.java`), and the name of the runs. */
const guarantees = { none: KAFKA_STREAMS, 'exactly-once': KAFKA_STREAMS_EXACTLY_ONCE } as const

/** A large heap, and the collector with the most throughput: on two cores the default one took twice as long. */
const JVM_ARGS = ['-Xmx2g', '-XX:+UseParallelGC', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error']

/** @returns the folder with the jars */
export async function buildKafkaStreams (): Promise<string> {
  const hash = createHash('sha256')
  await hashFiles(hash, project)
  return await installOnce(`kafka/streams-${hash.digest('hex').slice(0, 16)}`, async folder => {
    console.log('building the Kafka Streams topology with Maven, once …')
    await run('mvn', ['--batch-mode', '--quiet', '--file', join(project, 'pom.xml'), `-Dbuilt=${folder}`, 'package'])
  })
}

async function hashFiles (hash: Hash, folder: string): Promise<void> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(it => it.isFile())
  for (const path of files.map(it => join(it.parentPath, it.name)).sort()) hash.update(await readFile(path))
}

/** @param jars folder of the built topology; @param group a new application id */
export async function runKafkaStreams (
  servers: BenchServers, { topic, events }: Backlog, group: string, jars: string, guarantee: keyof typeof guarantees
): Promise<Run> {
  const serversBefore = await readServersCpu(servers)
  const startedMs = Date.now()
  const child = spawn(javaCommand(), [
    ...JVM_ARGS, `-Djava.io.tmpdir=${servers.folder}`, '-cp', join(jars, '*'), 'relay.bench.MinuteWindows',
    servers.kafka.bootstrapServers, topic, group, String(events), guarantee
  ], { stdio: ['ignore', 'pipe', 'inherit'] })
  using running = new DisposableStack()
  running.use(endWith(child))
  const exited = once(child, 'exit')

  const said = new Map<string, number>()
  let usage: Usage | undefined
  let serversAfter: Awaited<ReturnType<typeof readServersCpu>> | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    const [name, value] = line.split(' ')
    said.set(name, Number(value))
    if (name === 'done') [usage, serversAfter] = await Promise.all([readUsage(child.pid!), readServersCpu(servers)])
  }
  const [code] = await exited
  if (code !== 0 || said.get('counted') !== events || !usage || !serversAfter) {
    throw new Error(
      `${guarantees[guarantee]} ended with ${code}: it counted ${said.get('counted')} of ${events} events`
    )
  }
  return describeRun(guarantees[guarantee], {
    events,
    startedMs,
    assignedMs: said.get('assigned')!,
    endedMs: said.get('done')!,
    ...usage,
    serversBefore,
    serversAfter
  })
}
