/**
 * The heap of a running Node.js program, looked at from outside through its inspector: what is alive after a full
 * garbage collection, to the byte, where the resident size tells what the collector has not got round to.
 */
export interface Heap extends Disposable {
  /** Collects garbage, then counts bytes alive: objects, and the memory of buffers outside of the heap. */
  readAlive (): Promise<number>
}

/** start a program with these, and `findInspector` reads the address from its stderr */
export const inspectorArgs = ['--inspect=127.0.0.1:0', '--inspect-publish-uid=stderr']

export function findInspector (stderr: string): string | undefined {
  return /Debugger listening on (ws:\S+)/.exec(stderr)?.[1]
}

interface HeapUsage {
  readonly usedSize: number
  readonly backingStorageSize?: number
}

/** @param url as `findInspector` gives it */
export async function openHeap (url: string): Promise<Heap> {
  const socket = new WebSocket(url)
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true })
    socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)), { once: true })
  })
  const waiting = new Map<number, (result: unknown) => void>()
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number, result?: unknown }
    if (id !== undefined) waiting.get(id)?.(result)
  })
  let calls = 0
  const call = (method: string) => new Promise<unknown>(resolve => {
    waiting.set(++calls, resolve)
    socket.send(JSON.stringify({ id: calls, method }))
  })
  return {
    async readAlive () {
      await call('HeapProfiler.enable')
      await call('HeapProfiler.collectGarbage')
      await call('HeapProfiler.collectGarbage') // what the first one finalised is free after the second
      const { usedSize, backingStorageSize = 0 } = await call('Runtime.getHeapUsage') as HeapUsage
      return usedSize + backingStorageSize
    },
    [Symbol.dispose]: () => socket.close()
  }
}
