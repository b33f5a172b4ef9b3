/**
 * Preloaded into a processor (`--import`): its worker threads fail when the parent process sends a way to. The thread
 * itself fails, at any point; no code of Relay is changed for it.
 */
import { BroadcastChannel, isMainThread } from 'node:worker_threads'

const ways = {
  'an error that nobody handles': () => { throw new TypeError('a bug of this thread') },
  'a rejection that nobody handles': () => { Promise.reject(new TypeError('a bug of this thread')) },
  'no memory': () => {
    const kept: unknown[] = []
    while (true) kept.push(new Array(100_000).fill(kept.length))
  },
  'an exit': () => process.exit(0)
}

export type CrashWay = keyof typeof ways

const channel = new BroadcastChannel('crash')
channel.unref()
if (isMainThread) process.on('message', way => channel.postMessage(way))
else channel.onmessage = message => setImmediate(ways[(message as { data: CrashWay }).data]) // outside of any handler
