/**
 * A circuit breaker for a server that may hang: a stopped process, or a network that drops packets, never answers.
 *
 *     closed ──nothing was answered for a third of the limit──▶ suspected ──no answer to a probe either──▶ open
 *        ▲                      any answer │                                                                │
 *        └─────────────────────────────────┴──────────────────────────── a probe is answered ◀──────────────┘
 *
 * While it is open only probes are sent, so no request waits or serves as a trial. Slow statements do not open it,
 * because the probe is answered. Time is counted in turns of our own event loop: a machine that gives us no CPU says
 * nothing about the server.
 *
 * We use no library of policies: those use requests to find out whether a server is back, make others wait for the
 * result, and use the wall clock.
 */
import { Counter, Gauge, type Logger, type Registry } from 'relay-common'

export interface BreakerSettings {
  /** for people and as a label: `database` */
  readonly server: string
  /** longest time without an answer, ms; 0: forever */
  readonly limitMs: number
  /**
   * Checks the server. @throws if it is unreachable; if the signal aborts, at once
   * @param isFresh a connection just failed: try a new one
   */
  readonly probe: (signal: AbortSignal, isFresh: boolean) => Promise<void>
}

/** Work that a server is doing. Dispose of it when it has ended, in any way. */
export interface Watched extends Disposable {
  /** The server has answered. */
  answered (): void
}

export interface Breaker {
  readonly server: string
  readonly isOpen: boolean
  /** whether the server has answered nothing for the limit although it has work; a probe may have been answered */
  readonly isSilent: boolean
  /** @param onOpen called when the breaker opens: nobody should wait any longer */
  watch (onOpen?: () => void): Watched
  /** Probes now, because a connection just failed. */
  suspect (): void
  close (): void
}

const TICK_MS = 100
/** of the limit: before the probe; the rest is for its answer */
const SUSPECT_PART = 1 / 3
/** A new connection costs a server more than an answer on an existing one. */
const FRESH_FACTOR = 2

export function openBreaker ({ server, limitMs, probe }: BreakerSettings, metrics: Registry, log: Logger): Breaker {
  const { opened } = countsOf(metrics, server, () => isOpen)
  const underWay = new Set<{ readonly onOpen?: (() => void) | undefined }>()
  const limitTicks = Math.max(Math.round(limitMs / TICK_MS), 1)
  const suspectTicks = Math.max(Math.round(limitMs * SUSPECT_PART / TICK_MS), 1)
  const probeTicks = Math.max(Math.round(limitMs * (1 - SUSPECT_PART) / TICK_MS), 1)
  let isOpen = false
  /** since the last answer, while there is work; and the part before the last answered probe */
  let silentTicks = 0
  let probedTicks = 0
  let probing: { readonly controller: AbortController, ticksLeft: number } | undefined
  let answers = 0

  const open = (error: unknown) => {
    isOpen = true
    opened.inc()
    log.warn(
      { server, err: error },
      'circuit breaker open: the server does not answer; requests to it wait for a successful probe'
    )
    for (const { onOpen } of [...underWay]) onOpen?.()
  }
  const ask = async (isFresh: boolean) => {
    const own = probing = {
      controller: new AbortController(), ticksLeft: isFresh ? FRESH_FACTOR * probeTicks : probeTicks
    }
    const answersBefore = answers
    try {
      await probe(own.controller.signal, isFresh)
      probedTicks = silentTicks
      if (!isOpen) return
      isOpen = false
      log.info({ server }, 'circuit breaker closed: the server answers again')
    } catch (error) {
      if (!isOpen && answers === answersBefore && !isClosed) open(error)
    } finally {
      probing = undefined
    }
  }
  const answered = () => {
    answers++
    silentTicks = probedTicks = 0
  }
  const tick = () => {
    if (underWay.size > 0) silentTicks++
    else silentTicks = probedTicks = 0
    if (probing) {
      const { controller } = probing
      // data that has arrived is read before the probe is given up
      if (--probing.ticksLeft === 0) {
        setImmediate(() => controller.abort(new Error(`no answer to a probe or any request for ${limitMs} ms`)))
      }
      return
    }
    if (isOpen || silentTicks - probedTicks >= suspectTicks) ask(false)
  }
  let isClosed = limitMs === 0
  const timer = isClosed ? undefined : setInterval(tick, TICK_MS).unref()

  return {
    server,
    get isOpen () { return isOpen },
    get isSilent () { return silentTicks >= limitTicks },
    watch (onOpen) {
      const work = { onOpen }
      underWay.add(work)
      return { answered, [Symbol.dispose] () { underWay.delete(work) } }
    },
    suspect () { if (!isClosed && !isOpen && !probing) ask(true) },
    close () {
      isClosed = true
      clearInterval(timer)
      probing?.controller.abort()
    }
  }
}

function countsOf (metrics: Registry, server: string, isOpen: () => boolean) {
  const opened = metrics.getSingleMetric('relay_api_breaker_opened_total') as Counter ?? new Counter({
    name: 'relay_api_breaker_opened_total',
    help: 'Times that a circuit breaker opened because its server did not answer',
    labelNames: ['server'],
    registers: [metrics]
  })
  const open = metrics.getSingleMetric('relay_api_breaker_open') as BreakerGauge ?? new BreakerGauge(metrics)
  open.add(server, isOpen)
  opened.inc({ server }, 0)
  return { opened: { inc: () => opened.inc({ server }) } }
}

/** A value per server with a breaker. */
class BreakerGauge extends Gauge {
  readonly #servers = new Map<string, () => boolean>()

  constructor (metrics: Registry) {
    super({
      name: 'relay_api_breaker_open',
      help: '1: the server does not answer and gets no requests; 0: it answers',
      labelNames: ['server'],
      registers: [metrics],
      collect () {
        const own = this as BreakerGauge
        for (const [server, isOpen] of own.#servers) own.set({ server }, isOpen() ? 1 : 0)
      }
    })
  }

  add (server: string, isOpen: () => boolean): void { this.#servers.set(server, isOpen) }
}
