/** The processes of the honest client and the attackers, as the suite sees them. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import type { Done, Lasted, Order, Told } from './attacker-process.ts'
import type { HonestOrder, HonestSettings, HonestWindow } from './honest.ts'

const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export interface Honest {
  /** Ends a window and begins the next. @returns the observations of the ended one */
  cut (): Promise<HonestWindow>
  /** Stops sending, but continues to check what was sent. */
  stop (): void
  close (): Promise<void>
}

export async function startHonest (settings: HonestSettings): Promise<Honest> {
  const child = await start(fileOf('honest.ts'))
  const tell = (order: HonestOrder) => { child.send(order) }
  tell({ kind: 'start', settings })
  return {
    async cut () {
      const answered = once(child, 'message')
      tell({ kind: 'cut' })
      return (await answered)[0] as HonestWindow
    },
    stop: () => tell({ kind: 'stop' }),
    close: () => end(child)
  }
}

export interface Attackers {
  /**
   * Runs one attack.
   * @param limitMs then its process is killed
   * @returns undefined: it had to be killed
   */
  run (order: Order & { kind: 'run' }, limitMs: number): Promise<Done | undefined>
  /** State of the connections that attacks have left open. */
  lasted (): Promise<readonly Lasted[]>
  close (): Promise<void>
}

/** @param file program that serves orders (`serveOrders`) */
export async function startAttackers (file = fileOf('attacker-process.ts')): Promise<Attackers> {
  let child = await start(file)
  const ask = async (order: Order, limitMs: number) => {
    const over = new AbortController() // removes the remaining listeners
    const { signal } = over
    const answered = once(child, 'message', { signal }).then(([it]) => it as Told)
    const ended = once(child, 'exit', { signal }).then(() => undefined)
    const late = delay(limitMs, undefined, { signal })
    child.send(order)
    try {
      return await Promise.race([answered, ended, late])
    } finally {
      for (const it of [answered, ended, late]) it.catch(() => {}) // they end with us
      over.abort()
    }
  }
  return {
    async run (order, limitMs) {
      const told = await ask(order, limitMs)
      if (told?.kind === 'done') return told
      child.kill('SIGKILL')
      child = await start(file)
      return undefined
    },
    async lasted () {
      const told = await ask({ kind: 'lasting' }, 10_000)
      return told?.kind === 'lasting' ? told.lasted : []
    },
    close: () => end(child)
  }
}

async function start (file: string): Promise<ChildProcess> {
  const child = fork(file, { stdio: 'inherit' })
  await once(child, 'message')
  return child
}

async function end (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL') // it has nothing to lose
  await exited
}
