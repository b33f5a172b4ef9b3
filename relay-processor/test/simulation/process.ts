/**
 * A process as the operating system sees it: it runs, it is paused and continues without noticing, or it dies, at any
 * of its awaits. Everything that it waits for comes through `deliver`.
 */
import type { World } from './world.ts'

export type RemoteFault = 'none' | 'request-lost' | 'answer-lost'

export class Process {
  readonly name: string
  readonly world: World
  #state: 'running' | 'paused' | 'dead' = 'running'
  /** what arrived while it was paused */
  readonly #held: Array<() => void> = []
  readonly #mourners: Array<() => void> = []
  readonly #asks: () => void

  /** @param asks called for every request: a moment for a fault */
  constructor (name: string, world: World, asks: () => void) {
    this.name = name
    this.world = world
    this.#asks = asks
  }

  get isDead (): boolean { return this.#state === 'dead' }
  get isPaused (): boolean { return this.#state === 'paused' }

  deliver (work: () => void): void {
    if (this.#state === 'running') work()
    else if (this.#state === 'paused') this.#held.push(work)
  }

  kill (): void {
    if (this.isDead) return
    this.#state = 'dead'
    this.#held.length = 0
    for (const tell of this.#mourners) tell()
  }

  /** Makes the operating system notify somebody else: its connections are closed. */
  whenDead (tell: () => void): void {
    this.#mourners.push(tell)
  }

  pause (): void {
    if (this.#state === 'running') this.#state = 'paused'
  }

  resume (): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    for (const work of this.#held.splice(0)) this.world.schedule(0, '', () => this.deliver(work))
  }

  /** A timer in our own time. */
  sleep (ms: number): Promise<void> {
    return new Promise(resolve => this.world.schedule(ms, '', () => this.deliver(resolve)))
  }

  /**
   * Sends a request to a server. Request and answer take time; either may be lost, and then it fails with `lost()`. A
   * request on its way is served even if its sender is dead.
   */
  ask<T> (what: string, fault: RemoteFault, lost: () => Error, serve: () => Promise<T> | T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const { world } = this
    const onTheWayMs = () => world.chance.happens(0.03) ? world.chance.between(20, 400) : world.chance.between(1, 8)
    const answer = (what: string, take: () => void) => world.schedule(onTheWayMs(), what, () => this.deliver(take))

    this.#asks()
    if (fault !== 'none') world.count(`${fault}: ${what.split(/[ :]/)[0]}`)
    if (fault === 'request-lost') {
      answer(`${this.name} ← ${what}: cut, not served`, () => reject(lost()))
      return promise
    }
    if (fault === 'answer-lost') answer(`${this.name} ← ${what}: cut`, () => reject(lost()))
    world.schedule(onTheWayMs(), `${this.name} → ${what}`, async () => {
      try {
        const result = await serve()
        if (fault === 'none') answer(`${this.name} ← ${what}`, () => resolve(result))
      } catch (error) {
        if (fault === 'none') answer(`${this.name} ← ${what}: ${(error as Error).message}`, () => reject(error))
      }
    })
    return promise
  }
}
