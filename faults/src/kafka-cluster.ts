/**
 * Real Kafka brokers on this machine in one cluster, each behind a proxy. Clients only know the proxies; brokers use
 * direct connections.
 *
 *     producer, processors ──▶ proxy 1 ──▶ broker 1 ◀──▶ broker 2 ◀── proxy 2 ◀── …
 */
import { join } from 'node:path'

import type { metadataV12 } from '@platformatic/kafka'
import getPort from 'get-port'
import type { Logger } from 'relay-common'

import { KafkaClient } from '../../relay-event-log/src/kafka/client.ts'
import { createClusterId, startKafka, type LocalKafka } from '../../relay-stack/src/kafka.ts'
import { shortLivedJvm } from 'relay-test-support/short-lived-jvm.ts'
import { openTcpProxy, type TcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { sendSignal } from './signals.ts'

export interface KafkaCluster {
  /** addresses of the proxies */
  readonly bootstrapServers: string
  readonly brokers: readonly Broker[]
  /** Waits until all replicas are in sync, so that any one broker may be missing. */
  inSync (): Promise<void>
  /** Raises the number of a topic's partitions. */
  addPartitions (topic: string, count: number): Promise<void>
  close (): Promise<void>
}

export interface Broker {
  readonly nodeId: number
  readonly dataDir: string
  readonly proxy: TcpProxy
  /** kill -9 */
  kill (): Promise<void>
  /** SIGSTOP: it accepts connections without answering; the others continue without it, and it does not know. */
  pause (): void
  /** SIGCONT */
  resume (): void
  /** SIGTERM: it hands over its partitions and ends. Its controller may hang then, so the wait is limited. */
  stop (): Promise<void>
  /** Starts it again on its data, and waits until it answers. */
  start (): Promise<void>
}

export interface KafkaClusterSettings {
  /** data and logs of the brokers go there */
  readonly folder: string
  /** where Kafka's jars are kept */
  readonly cacheDir: string
  /** three or more: every partition has three replicas, two of which must confirm a write */
  readonly brokers: number
  readonly log: Logger
}

const HOST = '127.0.0.1'
const REPLICAS = 3
const HEAP_MB = 256
const ANSWER_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 6_000

interface Ports { readonly client: number, readonly replication: number, readonly controller: number }

/** Starts the brokers in parallel, because none answers before most of them run. */
export async function startKafkaCluster (settings: KafkaClusterSettings): Promise<KafkaCluster> {
  await using started = new AsyncDisposableStack()
  const clusterId = createClusterId()
  const ports = await Promise.all(Array.from({ length: settings.brokers }, openPorts))
  const proxies: TcpProxy[] = []
  for (const { client } of ports) proxies.push(started.adopt(await openTcpProxy(client), it => it.close()))

  const { folder } = settings
  const brokers = ports.map((own, index) => new ClusterBroker(index + 1, folder, proxies[index], broker => startKafka({
    cacheDir: settings.cacheDir,
    dataDir: broker.dataDir,
    port: own.client,
    heapMb: HEAP_MB,
    jvmArgs: shortLivedJvm,
    clusterId,
    properties: propertiesOf(broker.nodeId, ports, proxies),
    log: settings.log
  })))
  // their data is no longer needed
  started.defer(async () => { await Promise.all(brokers.map(it => it.kill())) })
  const outcomes = await Promise.allSettled(brokers.map(it => it.start()))
  const failed = outcomes.find(it => it.status === 'rejected')
  if (failed) throw failed.reason

  const bootstrapServers = proxies.map(it => `${HOST}:${it.port}`)
  const client = started.adopt(new KafkaClient({ bootstrapServers, clientId: 'faults' }), it => it.close())
  const running = started.move()
  return {
    bootstrapServers: bootstrapServers.join(','),
    brokers,
    inSync: () => until('all replicas to be in step', () => areInSync(client)),
    addPartitions: (name, count) => client.retry(ANSWER_TIMEOUT_MS, async () => {
      await client.call('CreatePartitions', await client.anyBroker(),
        [{ name, count, assignments: null }], ANSWER_TIMEOUT_MS, false)
    }),
    close: () => running.disposeAsync()
  }
}

class ClusterBroker implements Broker {
  readonly nodeId: number
  readonly dataDir: string
  readonly proxy: TcpProxy
  readonly #open: (broker: Broker) => Promise<LocalKafka>
  #kafka: LocalKafka | undefined

  constructor (nodeId: number, folder: string, proxy: TcpProxy, open: (broker: Broker) => Promise<LocalKafka>) {
    this.nodeId = nodeId
    this.dataDir = join(folder, `kafka-${nodeId}`)
    this.proxy = proxy
    this.#open = open
  }

  async start (): Promise<void> {
    this.#kafka = await this.#open(this)
    process.on('exit', this.#endWithUs)
  }

  async kill (): Promise<void> {
    const kafka = this.#take()
    if (!kafka) return
    sendSignal(kafka.pid, 'SIGKILL')
    await kafka.exited
  }

  pause (): void { sendSignal(this.#kafka!.pid, 'SIGSTOP') }
  resume (): void { sendSignal(this.#kafka!.pid, 'SIGCONT') }

  async stop (): Promise<void> {
    const kafka = this.#take()
    if (!kafka) return
    sendSignal(kafka.pid, 'SIGTERM')
    const timer = setTimeout(() => { sendSignal(kafka.pid, 'SIGKILL') }, STOP_TIMEOUT_MS)
    await kafka.exited
    clearTimeout(timer)
  }

  #take (): LocalKafka | undefined {
    const kafka = this.#kafka
    this.#kafka = undefined
    process.off('exit', this.#endWithUs)
    return kafka
  }

  /** It is in a process group of its own: an aborted run must not leave it behind. */
  readonly #endWithUs = () => { sendSignal(this.#kafka!.pid, 'SIGKILL') }
}

async function areInSync (client: KafkaClient): Promise<boolean> {
  try {
    const { topics } = await client.call<metadataV12.MetadataResponse>(
      'Metadata', await client.anyBroker(), null, false, false)
    return topics.every(topic => topic.partitions.every(it =>
      it.leaderId >= 0 && it.isrNodes.length === it.replicaNodes.length))
  } catch {
    return false // a partition without a leader, or a starting broker, is an error here
  }
}

async function openPorts (): Promise<Ports> {
  const [client, replication, controller] = await Promise.all([1, 2, 3].map(() => getPort({ host: HOST })))
  return { client, replication, controller }
}

function propertiesOf (nodeId: number, ports: readonly Ports[], proxies: readonly TcpProxy[]): string[] {
  const { client, replication, controller } = ports[nodeId - 1]
  const replicas = Math.min(REPLICAS, ports.length)
  const inSync = Math.max(1, replicas - 1)
  return [
    `node.id=${nodeId}`,
    `controller.quorum.voters=${ports.map((it, index) => `${index + 1}@${HOST}:${it.controller}`).join(',')}`,
    `listeners=PLAINTEXT://${HOST}:${client},REPLICATION://${HOST}:${replication},CONTROLLER://${HOST}:${controller}`,
    `advertised.listeners=PLAINTEXT://${HOST}:${proxies[nodeId - 1].port},REPLICATION://${HOST}:${replication}`,
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,REPLICATION:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name=REPLICATION',
    `default.replication.factor=${replicas}`,
    `min.insync.replicas=${inSync}`,
    `offsets.topic.replication.factor=${replicas}`,
    `transaction.state.log.replication.factor=${replicas}`,
    `transaction.state.log.min.isr=${inSync}`,
    `share.coordinator.state.topic.replication.factor=${replicas}`,
    `share.coordinator.state.topic.min.isr=${inSync}`
  ]
}
