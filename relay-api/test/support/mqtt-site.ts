/** An API with MQTT, and what its clients leave behind. */
import { connect as connectSocket, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

import getPort from 'get-port'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import type { Logger } from 'relay-common'
import { decodeDeadLetter, type DeadLetterInfo } from 'relay-dead-letters'
import { until } from 'relay-test-support/until.ts'
import { TOKEN } from './ask.ts'
import { authorization, openIngestSite, type IngestSite, type kinds } from './ingest-site.ts'

export interface MqttSite extends IngestSite {
  readonly port: number
  readonly topic: string
  connect (options?: IClientOptions): Promise<MqttClient>
  /** An idle connection, destroyed with the site. */
  open (): Socket
  /** A new key that may send. @returns the key */
  makeKey (settings?: Record<string, unknown>): Promise<string>
  /** The current value of a metric, summed over all with these labels: `reason="timeout"`. */
  metric (name: string, ...labels: string[]): Promise<number>
}

export async function openMqttSite (
  t: TestContext, kind: typeof kinds[number], settings: Record<string, string> = {}, log?: Logger
): Promise<MqttSite | undefined> {
  const port = await getPort({ host: '127.0.0.1' })
  await using opened = new AsyncDisposableStack()
  const site = opened.use(await openIngestSite(t, kind, { MQTT_PORT: String(port), ...settings }, log))
  if (!site) return undefined
  const running = opened.move()
  return {
    ...site,
    port,
    topic: site.log.topic,
    async connect (options) {
      const client = await connectAsync(
        `mqtt://127.0.0.1:${port}`, { username: 'device', password: TOKEN, reconnectPeriod: 100, ...options }
      )
      client.on('error', () => {})
      running.defer(async () => client.endAsync(true))
      return client
    },
    open () {
      const socket = connectSocket(port, '127.0.0.1')
      socket.on('error', () => {})
      running.defer(() => { socket.destroy() })
      return socket
    },
    async makeKey (settings = {}) {
      const response = await fetch(`${site.url}/api/v1/keys`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'sender', scopes: ['events:write'], ...settings })
      })
      const { key } = await response.json() as { key: string }
      return key
    },
    async metric (name, ...labels) {
      const read = async () => await (await fetch(site.metricsUrl)).text()
      const first = await read()
      let text = first // a cached answer has other times than the next one
      await until('metrics that are newer than the question', async () => (text = await read()) !== first)
      const lines = text.split('\n').filter(it => it.startsWith(`${name}{`) &&
        labels.every(label => it.includes(label)))
      return lines.reduce((sum, it) => sum + Number(it.slice(it.lastIndexOf(' '))), 0)
    },
    [Symbol.asyncDispose]: () => running.disposeAsync()
  }
}

export type Letter = DeadLetterInfo & { readonly value: Buffer | null }

/** All dead letters, in the order of writing. */
export async function readLetters ({ log: { eventLog }, environment }: MqttSite): Promise<Letter[]> {
  const topic = environment.DEAD_LETTERS_TOPIC
  const letters: Letter[] = []
  for (const { partition, startOffset, endOffset } of await eventLog.readOffsets(topic)) {
    for await (const { headers, value } of eventLog.readRecords(topic, partition, startOffset, endOffset)) {
      const info = decodeDeadLetter(headers)
      if (info) letters.push({ ...info, value: value && Buffer.from(value) })
    }
  }
  return letters
}
