/**
 * The heap of a running Node.js program and its worker threads, read through its inspector: live bytes after a full
 * garbage collection. The resident size also contains memory that was not collected yet.
 *
 *     we ──WebSocket──▶ main thread ──NodeWorker.sendMessageToWorker──▶ each worker
 */
export interface Heap extends Disposable {
  /** Collects garbage, then counts live bytes: objects, and buffers outside of the heap. */
  readAlive (): Promise<number>
}

/** start a program with these, and `findInspector` reads the address from its stderr */
export const inspectorArgs = ['--inspect=127.0.0.1:0', '--inspect-publish-uid=stderr']

export function findInspector (stderr: string): string | undefined {
  return /Debugger listening on (ws:\S+)/.exec(stderr)?.[1]
}

/** A message of the inspector: the answer to a call, or an event of a worker. */
interface Message {
  readonly id?: number
  readonly result?: unknown
  readonly method?: string
  readonly params?: { readonly sessionId: string, readonly message: string }
}

interface HeapUsage {
  readonly usedSize: number
  readonly backingStorageSize?: number
}

/** @param url from `findInspector` */
export async function openHeap (url: string): Promise<Heap> {
  const socket = new WebSocket(url)
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true })
    socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)), { once: true })
  })
  const waiting = new Map<number, (result: unknown) => void>()
  const workers = new Set<string>()
  const hear = ({ id, result, method, params }: Message) => {
    if (id !== undefined) waiting.get(id)?.(result)
    else if (method === 'NodeWorker.attachedToWorker') workers.add(params!.sessionId)
    else if (method === 'NodeWorker.detachedFromWorker') workers.delete(params!.sessionId)
    else if (method === 'NodeWorker.receivedMessageFromWorker') hear(JSON.parse(params!.message))
  }
  socket.addEventListener('message', ({ data }) => hear(JSON.parse(String(data))))

  let calls = 0
  const call = (sessionId: string | undefined, method: string, params = {}) => new Promise<unknown>(resolve => {
    const message = JSON.stringify({ id: ++calls, method, params })
    waiting.set(calls, resolve)
    socket.send(sessionId === undefined
      ? message
      : JSON.stringify({ id: ++calls, method: 'NodeWorker.sendMessageToWorker', params: { sessionId, message } }))
  })
  await call(undefined, 'NodeWorker.enable', { waitForDebuggerOnStart: false })

  const readThread = async (sessionId: string | undefined) => {
    await call(sessionId, 'HeapProfiler.enable')
    await call(sessionId, 'HeapProfiler.collectGarbage')
    // memory finalised by the first collection is freed by the second
    await call(sessionId, 'HeapProfiler.collectGarbage')
    const { usedSize, backingStorageSize = 0 } = await call(sessionId, 'Runtime.getHeapUsage') as HeapUsage
    return usedSize + backingStorageSize
  }
  return {
    async readAlive () {
      let alive = 0
      for (const thread of [undefined, ...workers]) alive += await readThread(thread)
      return alive
    },
    [Symbol.dispose]: () => socket.close()
  }
}
