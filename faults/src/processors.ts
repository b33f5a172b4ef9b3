/**
 * Processors as separate processes, restarted as by a supervisor.
 *
 *     down ──start()──▶ starting ──ready──▶ running ──kill(), stop(), or its own end──▶ down
 *                          ▲ └── it did not start: again, after a moment
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { startProgram, type RunningProgram } from '../../relay-stack/src/program-process.ts'
import { sendSignal } from './signals.ts'

export interface ProcessorsSettings {
  /** their logs go there */
  readonly folder: string
  /** settings of all of them */
  readonly environment: NodeJS.ProcessEnv
  readonly count: number
  /** called for unexpected ends */
  readonly ended: (name: string, how: string) => void
}

const RESTART_DELAY_MS = 500

export class Processors {
  readonly all: readonly SupervisedProcessor[]
  /** they end with us by themselves, except for paused ones */
  readonly #endWithUs = () => { for (const it of this.all) it.signal('SIGKILL') }

  constructor (settings: ProcessorsSettings) {
    this.all = Array.from({ length: settings.count }, (_, index) =>
      new SupervisedProcessor(`processor-${index + 1}`, settings))
    process.on('exit', this.#endWithUs)
  }

  async start (): Promise<void> {
    await Promise.all(this.all.map(it => it.start()))
  }

  async close (): Promise<void> {
    await Promise.all(this.all.map(it => it.kill()))
    process.off('exit', this.#endWithUs)
  }
}

export class SupervisedProcessor {
  readonly name: string
  readonly #settings: ProcessorsSettings
  #running: RunningProgram | undefined
  #starting: { readonly stop: AbortController, readonly done: Promise<void> } | undefined

  constructor (name: string, settings: ProcessorsSettings) {
    this.name = name
    this.#settings = settings
  }

  /** identifies the process in the table `progress`, beside its instance id */
  get pid (): number | undefined { return this.#running?.pid }

  /**
   * Starts it, and retries until it is ready.
   * @param isNamed true: with a CONSUMER_INSTANCE_ID, so that a quick restart gets its partitions back
   * @param own settings of this start, beside the common ones
   */
  async start (isNamed = false, own: NodeJS.ProcessEnv = {}): Promise<void> {
    const stop = new AbortController()
    const environment = { ...this.#settings.environment, CONSUMER_INSTANCE_ID: isNamed ? this.name : '', ...own }
    const done = this.#startUntilReady(environment, stop.signal)
    this.#starting = { stop, done }
    await done
  }

  /** kill -9 */
  async kill (): Promise<void> {
    await this.#end(running => {
      sendSignal(running.pid, 'SIGKILL')
      return running.exited
    })
  }

  /** SIGTERM. @returns the time until its end, ms, and its exit code (null: it had to be killed) */
  async stop (): Promise<{ tookMs: number, exitCode: number | null }> {
    const startedMs = performance.now()
    let exitCode: number | null = null
    await this.#end(async running => {
      await running.close()
      exitCode = running.exitCode
    })
    return { tookMs: performance.now() - startedMs, exitCode }
  }

  /** SIGSTOP: it stands still without knowing. */
  pause (): void { this.signal('SIGSTOP') }
  resume (): void { this.signal('SIGCONT') }

  async #end (end: (running: RunningProgram) => Promise<unknown>): Promise<void> {
    this.#starting?.stop.abort()
    await this.#starting?.done
    this.#starting = undefined
    const running = this.#running
    this.#running = undefined // its end is expected
    if (!running) return
    sendSignal(running.pid, 'SIGCONT') // a paused one receives nothing else
    await end(running)
  }

  async #startUntilReady (environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> {
    const folder = join(this.#settings.folder, this.name)
    await mkdir(folder, { recursive: true })
    while (!signal.aborted) {
      try {
        const logFile = join(folder, 'processor.log')
        this.#running = await startProgram({ name: 'processor', environment, logFile, pids: folder, signal })
        this.#watch(this.#running, environment)
        return
      } catch (error) {
        if (signal.aborted) return
        this.#settings.ended(this.name, (error as Error).message)
        await delay(RESTART_DELAY_MS, undefined, { signal }).catch(() => {})
      }
    }
  }

  #watch (running: RunningProgram, environment: NodeJS.ProcessEnv): void {
    running.exited.then(how => {
      if (this.#running !== running) return
      this.#running = undefined
      this.#settings.ended(this.name, how)
      const stop = new AbortController()
      this.#starting = { stop, done: this.#startUntilReady(environment, stop.signal) }
    })
  }

  signal (name: NodeJS.Signals): void {
    if (this.#running) sendSignal(this.#running.pid, name)
  }
}
