/**
 * A processor thread, as seen by the main thread.
 *
 *     startThread ──(loads its modules while the main thread prepares database and log)──▶ open ──▶ a Share ──▶ close
 */
import { MessageChannel, Worker } from 'node:worker_threads'

import { fromPlainError, linkThread, RelayError, within, type PlainError } from 'relay-common'
import { serveGroup, type JoinGroup } from 'relay-event-log'

import type { ProcessorConfig } from './config.ts'
import type { ThreadShare } from './share.ts'
import type { ThreadData, ThreadServes } from './thread-main.ts'

export interface Thread {
  /** Opens its share of the work; the database must be migrated and the topics must exist. */
  open (join: JoinGroup): Promise<ThreadShare>
  /** Ends the thread in any state: its share was closed, or has failed. */
  close (): Promise<void>
}

/** longest wait of a probe for a thread, which folds for milliseconds at a time */
const ANSWER_MAX_MS = 2_000

/** @param number of the thread, from 1; the main thread is 0 */
export function startThread (config: ProcessorConfig, number: number): Thread {
  const { port1: port, port2: theirPort } = new MessageChannel()
  const data: ThreadData = { config, number, port: theirPort }
  const worker = new Worker(
    new URL('./thread-main.ts', import.meta.url), { workerData: data, transferList: [theirPort] }
  )
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {}) // whoever awaits its share gets the error
  const link = linkThread<ThreadServes>(port, { failed: (error: PlainError) => failed.reject(fromPlainError(error)) })
  const fail = (what: string, cause?: Error) => failed.reject(
    new RelayError('RELAY_PROGRAM_FAILED', `thread ${number} of the processor ${what}`, { cause }))
  worker.once('error', error => fail(`failed: ${error.message}`, error)) // an unhandled error, or out of memory
  worker.once('exit', () => fail('ended'))

  return {
    open: async join => {
      const { port1: groupPort, port2: theirGroupPort } = new MessageChannel()
      serveGroup(groupPort, join)
      await Promise.race([link.call('open', [theirGroupPort], [theirGroupPort]), failed.promise])
      const closed = Promise.withResolvers<void>()
      const done = Promise.race([failed.promise, closed.promise])
      done.catch(() => {}) // whoever awaits it gets the error
      let closing: Promise<void> | undefined
      return {
        done,
        readiness: () => within(ANSWER_MAX_MS, link.call('readiness', []))
          .catch(error => ({ thread: `thread ${number}: ${error.message}` })),
        metrics: () => within(ANSWER_MAX_MS, link.call('metrics', [])),
        close: () => (closing ??= Promise.race([link.call('close', []), failed.promise]).then(closed.resolve))
      }
    },
    close: async () => {
      await worker.terminate()
      port.close()
    }
  }
}
