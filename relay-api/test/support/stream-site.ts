/** An API that streams the commits of a real processor, and clients of its streams. */
import type { TestContext } from 'node:test'

import { EventSourceParserStream } from 'eventsource-parser/stream'
import { createLogger, type Logger } from 'relay-common'

import { startProcessor } from '../../../relay-processor/src/processor.ts'
import { readProcessorConfig } from '../../../relay-processor/src/config.ts'
import { until } from 'relay-test-support/until.ts'
import { authorization, openIngestSite, type IngestSite, type SentEvent } from './ingest-site.ts'

export interface Message {
  readonly event: string
  readonly id: string | undefined
  readonly data: Record<string, any>
}

export interface StreamSite extends IngestSite {
  /** Sends events like devices. */
  send (...events: SentEvent[]): Promise<void>
  /** Stops the processor, and starts another one. */
  restartProcessor (): Promise<void>
  listen (query?: string, lastEventId?: string): Promise<Listening>
}

/** @param settings of API and processor */
export async function openStreamSite (
  t: TestContext, settings: Record<string, string> = {}, log: Logger = createLogger('test', 'silent')
): Promise<StreamSite> {
  await using opened = new AsyncDisposableStack()
  const site = opened.use((await openIngestSite(t, 'postgres', settings, log))!)
  const config = readProcessorConfig({
    ...site.environment,
    CONSUMER_GROUP: site.log.topic,
    DEAD_LETTERS_TOPIC: `${site.log.topic}.dead`,
    FLUSH_INTERVAL_MS: '20'
  })
  const start = () => startProcessor(config, log)
  let processor = await start()
  opened.defer(() => processor.close())
  const producer = opened.adopt(await site.log.eventLog.openProducer(), it => it.close())
  const running = opened.move()
  return {
    ...site,
    send: (...events) => producer.send(
      site.log.topic, events.map(it => ({ key: it.deviceId, value: JSON.stringify(it) }))
    ),
    restartProcessor: async () => {
      await processor.close()
      processor = await start()
    },
    async listen (query, lastEventId) {
      const listening = await listen(site.url, query, lastEventId)
      running.defer(() => listening.close())
      return listening
    },
    [Symbol.asyncDispose]: () => running.disposeAsync()
  }
}

/** A client of a stream, and everything that it received. */
export class Listening {
  readonly messages: Message[] = []
  /** delays before reconnecting that it was told */
  readonly waitsMs: number[] = []
  readonly #close: () => void
  hasEnded = false

  constructor (response: Response, close: () => void) {
    this.#close = close
    this.#read(response).catch(() => {}).finally(() => { this.hasEnded = true })
  }

  /** As the client would send it when reconnecting. */
  get lastId (): string | undefined { return this.messages.findLast(it => it.id !== undefined)?.id }

  close (): void { this.#close() }

  of (event: string): Array<Record<string, any>> {
    return this.messages.filter(it => it.event === event).map(it => it.data)
  }

  /** The newest state of each bucket (of each group), by its start. */
  get buckets (): Map<string, Record<string, any>> {
    const name = (it: Record<string, any>) => [it.bucketStart, it.device, it.zone, it.type].filter(it => it).join(' ')
    return new Map(this.of('rollup').map(it => [name(it), it]))
  }

  async #read (response: Response): Promise<void> {
    const events = response.body!.pipeThrough(new TextDecoderStream()).pipeThrough(
      new EventSourceParserStream({ onRetry: waitMs => { this.waitsMs.push(waitMs) } }))
    for await (const { event, id, data } of events) {
      this.messages.push({ event: event ?? 'message', id: id || undefined, data: JSON.parse(data) })
    }
  }
}

/** Starts to listen, and waits for the promise that nothing will be missed. */
export async function listen (
  url: string, query = '', lastEventId?: string, authorized = authorization
): Promise<Listening> {
  const closing = new AbortController()
  const response = await fetch(`${url}/api/v1/stream${query}`, {
    signal: closing.signal,
    headers: { authorization: authorized, ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) }
  })
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
  const listening = new Listening(response, () => closing.abort())
  await until('the stream to be open', () => listening.messages.length > 0)
  return listening
}
