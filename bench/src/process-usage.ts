import { readdir, readFile } from 'node:fs/promises'

/** Resources that one or several processes have used. */
export interface Usage {
  /** user and system time, in seconds, of the processes and their ended children */
  readonly cpuSeconds: number
  /** peak resident memory in bytes; for several processes the sum */
  readonly memoryMaxBytes: number
  /** bytes that it made the system write to disks; 0 where it may not be known */
  readonly writtenBytes: number
}

const NOTHING: Usage = { cpuSeconds: 0, memoryMaxBytes: 0, writtenBytes: 0 }

export function sumUsage (all: readonly Usage[]): Usage {
  return all.reduce((sum, it) => ({
    cpuSeconds: sum.cpuSeconds + it.cpuSeconds,
    memoryMaxBytes: sum.memoryMaxBytes + it.memoryMaxBytes,
    writtenBytes: sum.writtenBytes + it.writtenBytes
  }), NOTHING)
}

const TICKS_PER_SECOND = 100 // USER_HZ, which is fixed for programs on Linux
const PAGE = 1024

/** Usage of one running process, from /proc (Linux). */
export async function readUsage (pid: number): Promise<Usage> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // the name of the program, in brackets, may contain anything
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 15).reduce((sum, it) => sum + Number(it), 0) // utime, stime, cutime, cstime
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const memoryKb = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0)
  const io = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => '')
  return {
    cpuSeconds: ticks / TICKS_PER_SECOND,
    memoryMaxBytes: memoryKb * PAGE,
    writtenBytes: Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0)
  }
}

/** Usage of a server and its running child processes. */
export async function readTreeUsage (pid: number): Promise<Usage> {
  const pids = [pid]
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '')
    if (stat && Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid) pids.push(Number(entry))
  }
  return sumUsage(await Promise.all(pids.map(it => readUsage(it).catch(() => NOTHING))))
}

/** Resident memory of a running process, in bytes. */
export async function readResident (pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * PAGE
}

/** CPU of all ended children of this process, in seconds: exact, while a last sample comes too early. */
export async function readEndedChildrenCpu (): Promise<number> {
  const stat = await readFile('/proc/self/stat', 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND // cutime, cstime
}
