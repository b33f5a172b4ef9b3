/** The inside of a processor thread: a share of the work on its own connections. */
import { workerData, type MessagePort } from 'node:worker_threads'

import {
  createLogger, createMetrics, linkThread, openDatabase, toPlainError, type MetricValues, type PlainError,
  type Readiness
} from 'relay-common'
import { groupOver, openEventLog } from 'relay-event-log'

import type { ProcessorConfig } from './config.ts'
import { openShare, type ThreadShare } from './share.ts'

export interface ThreadData {
  readonly config: ProcessorConfig
  readonly number: number
  readonly port: MessagePort
}

export type ThreadServes = {
  open (groupPort: MessagePort): Promise<void>
  readiness (): Promise<Readiness>
  metrics (): Promise<MetricValues>
  close (): Promise<void>
}

type MainServes = { failed (error: PlainError): void }

const { config, number, port } = workerData as ThreadData
const log = createLogger('relay-processor', config.LOG_LEVEL).child({ thread: number })
const opened = new AsyncDisposableStack()
let share: ThreadShare

const served: ThreadServes = {
  open: async groupPort => {
    const registry = createMetrics('relay-processor')
    const database = opened.adopt(
      await openDatabase(
        config, 'relay-processor', log, { plans: 'by-key', measured: { metrics: registry, server: 'database' } }
      ), it => it.close())
    const eventLog = opened.adopt(await openEventLog(config, database, log), it => it.close())
    share = opened.adopt(
      await openShare(config, { database, eventLog, join: groupOver(groupPort), registry, log }), it => it.close()
    )
    share.done.catch(error => main.notify('failed', toPlainError(error)))
  },
  readiness: () => share.readiness(),
  metrics: () => share.metrics(),
  close: () => opened.disposeAsync()
}
const main = linkThread<MainServes>(port, served)
