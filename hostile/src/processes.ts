/** Data of `/proc` about the processes of a site. */
import { readdir, readFile } from 'node:fs/promises'

/** Ticks of `/proc/<pid>/stat`: 10 ms on every Linux. */
const TICK_MS = 10

export interface Process {
  readonly pid: number
  readonly parent: number
  /** CPU time of it and its ended children, ms */
  readonly cpuMs: number
}

/** All processes of the machine, by id. */
export async function readProcesses (): Promise<ReadonlyMap<number, Process>> {
  const entries = (await readdir('/proc').catch(() => [])).filter(it => /^\d+$/.test(it))
  const stats = await Promise.all(entries.map(it => readFile(`/proc/${it}/stat`, 'utf8').catch(() => '')))
  const processes = new Map<number, Process>()
  for (const [index, stat] of stats.entries()) {
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the name before may contain anything
    if (fields.length < 15) continue
    const pid = Number(entries[index])
    const cpuMs = fields.slice(11, 15).reduce((sum, it) => sum + Number(it), 0) * TICK_MS
    processes.set(pid, { pid, parent: Number(fields[1]), cpuMs })
  }
  return processes
}

export async function residentMb (pid: number): Promise<number> {
  return await statusMb(pid, 'VmRSS')
}

/** Private memory of the largest child of a process, without shared memory. */
export async function largestChildMb (processes: ReadonlyMap<number, Process>, parent: number): Promise<number> {
  const children = [...processes.values()].filter(it => it.parent === parent)
  return Math.max(0, ...await Promise.all(children.map(it => statusMb(it.pid, 'RssAnon'))))
}

/** CPU time of a process and its children. */
export function cpuMsOf (processes: ReadonlyMap<number, Process>, pid: number): number {
  const family = [...processes.values()].filter(it => it.pid === pid || it.parent === pid)
  return family.reduce((sum, it) => sum + it.cpuMs, 0)
}

async function statusMb (pid: number, field: 'VmRSS' | 'RssAnon'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Math.round(Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024)
}
