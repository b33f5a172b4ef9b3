/**
 * Answers in progress. Each has one signal, from its client's socket to its statements in PostgreSQL, and a share of
 * what all callers use together.
 *
 *     the client goes  ──┐
 *     the deadline     ──┼──▶ signal ──▶ statements are cancelled or not sent, waits end, the loops of reading stop
 *     a stalled reader ──┤               and a connection to which an answer is on its way is cut
 *     the API closes   ──┘
 *
 * An answer ends with its last byte, or with its socket. Then it returns what it held to the budgets of its caller.
 */
import type { Socket } from 'node:net'

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Counter, Gauge, RelayError, type Registry } from 'relay-common'
import { Type, type Static } from 'typebox'

import type { Budgets, Held } from '../budgets/budgets.ts'
import type { Asker } from './asker.ts'
import type { AttainedService } from './heavy-callers.ts'
import { Computing } from './computing.ts'
import { HEAVY, LONG, PIECE_MS, SHORT, type ComputeTurns, type Rank } from './compute-turns.ts'

export const answerSettings = {
  ANSWER_TIMEOUT_MS: Type.Integer({
    default: 300_000, minimum: 1_000, description: 'longest time for a whole answer, from the request to its last byte'
  }),
  ANSWER_STALL_MS: Type.Integer({
    default: 30_000, minimum: 1_000, description: 'disconnect a client that reads no byte of its answer for this long'
  }),
  ANSWER_ROWS_MAX: Type.Integer({
    default: 20_000_000,
    minimum: 1_000,
    description: 'most rollups that one answer may read; an answer with pages continues on the next page, any other ' +
      'is refused'
  }),
  ANSWER_SERIES_MAX: Type.Integer({
    default: 1_000_000,
    minimum: 1_000,
    description: 'most device series that one answer may read one by one; applies to callers who may see only some ' +
      'devices of a zone'
  }),
  LONG_ANSWERS_MAX: Type.Integer({
    default: 64, minimum: 1, description: 'most long answers in progress at once, all callers together'
  })
}

export type AnswerConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof answerSettings>>>> &
  { readonly SHUTDOWN_TIMEOUT_MS: number }

export interface Answer extends Asker {
  readonly signal: AbortSignal
  readonly caller: string
}

declare module 'fastify' {
  interface FastifyRequest {
    /** its answer; on routes after `authenticate` */
    answer: Answer
  }
}

const LOOK_INTERVAL_MS = 500
/** Cost of a request before its answer is read. */
const REQUEST_MS = 0.3
/** An answer that has computed for longer takes turns with long ones. */
const SHORT_COMPUTED_MAX_MS = 40
/** Closing waits for answers for this part of its time, and then ends them. */
const CLOSING_PART = 1 / 2

type EndReason = 'client-gone' | 'deadline' | 'stalled' | 'closing'

const REASONS: readonly EndReason[] = ['client-gone', 'deadline', 'stalled', 'closing']

/** Gives every request of an app its answer; call it after the hook that identifies callers. */
export function keepAnswers (
  app: FastifyInstance, config: AnswerConfig, budgets: Budgets, service: AttainedService, turns: ComputeTurns,
  metrics: Registry
): void {
  const open = new Set<OpenAnswer>()
  const bySocket = new WeakMap<Socket, Map<OpenAnswer, () => void>>()
  let long = 0
  const rankOf = (caller: string, isLong: boolean): Rank => isLong ? LONG : service.isHeavy(caller) ? HEAVY : SHORT
  turns.leaveTimeFor(() => {
    let lowest: Rank | undefined
    for (const { caller, isLong } of open) {
      const rank = rankOf(caller, isLong)
      if (rank === SHORT) return rank
      if (lowest === undefined || rank < lowest) lowest = rank
    }
    return lowest
  })
  const ended = new Counter({
    name: 'relay_api_answers_ended_total',
    help: 'Answers stopped before they were complete, by reason',
    labelNames: ['reason'],
    registers: [metrics]
  })
  for (const reason of REASONS) ended.inc({ reason }, 0)
  new Gauge({ // eslint-disable-line no-new
    name: 'relay_api_answers',
    help: 'Answers in progress, by length; a long one takes many statements or is a stream',
    labelNames: ['length'],
    registers: [metrics],
    collect () {
      this.set({ length: 'long' }, long)
      this.set({ length: 'short' }, open.size - long)
    }
  })
  const settings: AnswerSettings = {
    rowsMax: config.ANSWER_ROWS_MAX,
    seriesMax: config.ANSWER_SERIES_MAX,
    isTurnSpent: turns.isSpent,
    turn: ({ caller, computesLong, signal }) => turns.take(caller, rankOf(caller, computesLong), signal),
    computed: (caller, ms) => service.compute(caller, ms),
    holdLong (caller) {
      if (long >= config.LONG_ANSWERS_MAX) {
        throw new RelayError(
          'RELAY_ANSWERS_BUSY', `${long} long answers are in progress (LONG_ANSWERS_MAX); try again later`
        )
      }
      const held = budgets.hold('longAnswers', caller)
      long++
      return {
        [Symbol.dispose] () {
          long--
          held[Symbol.dispose]()
        }
      }
    },
    ended: reason => ended.inc({ reason })
  }

  const follow = (socket: Socket): Map<OpenAnswer, () => void> => {
    const found = bySocket.get(socket)
    if (found) return found
    const own = new Map<OpenAnswer, () => void>()
    bySocket.set(socket, own)
    // the socket's close, because requests queued behind others emit no event of their own
    socket.once('close', () => {
      for (const finish of [...own.values()]) finish()
    })
    return own
  }

  app.addHook('preHandler', (request, reply, done) => {
    const isEndless = request.route.config.isEndless === true // has its own budget, and ends by itself
    const held = isEndless ? undefined : budgets.hold('answers', request.principal.id)
    const answer = new OpenAnswer(request, reply, isEndless, held, settings)
    request.answer = answer
    const { socket } = request.raw
    const ofSocket = follow(socket)
    if (!isEndless) {
      open.add(answer)
      service.open(answer.caller)
    }
    const finish = () => {
      if (open.delete(answer)) service.close(answer.caller)
      ofSocket.delete(answer)
      answer.finish()
    }
    ofSocket.set(answer, finish)
    reply.raw.on('finish', finish)
    if (socket.destroyed) finish()
    const isQuestion = !isEndless && request.method !== 'POST' // ingest has its own budgets, and its own turns
    if (isQuestion) service.compute(answer.caller, REQUEST_MS)
    if (!isQuestion || !service.isHeavy(answer.caller)) done()
    else turns.take(answer.caller, HEAVY, answer.signal).then(() => done(), done)
  })

  const watch = setInterval(() => {
    const nowMs = performance.now()
    for (const answer of open) {
      if (nowMs - answer.startedMs > config.ANSWER_TIMEOUT_MS) answer.end('deadline')
      else if (answer.stalledMs(nowMs) > config.ANSWER_STALL_MS) answer.end('stalled')
    }
  }, LOOK_INTERVAL_MS).unref()
  let closing: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => {
    closing = setTimeout(() => {
      for (const answer of open) answer.end('closing')
    }, config.SHUTDOWN_TIMEOUT_MS * CLOSING_PART).unref()
  })
  app.addHook('onClose', async () => {
    clearInterval(watch)
    clearTimeout(closing)
  })
}

interface AnswerSettings {
  readonly rowsMax: number
  readonly seriesMax: number
  /** whether the turn of the event loop has been long enough, whoever computed in it */
  readonly isTurnSpent: (nowMs: number) => boolean
  readonly turn: (answer: OpenAnswer) => Promise<void>
  readonly computed: (caller: string, ms: number) => void
  readonly holdLong: (caller: string) => Disposable
  readonly ended: (reason: EndReason) => void
}

class OpenAnswer implements Answer {
  readonly caller: string
  readonly isEndless: boolean
  readonly startedMs = performance.now()
  /** created on first use: short answers need none */
  #controller: AbortController | undefined
  #ended: RelayError | undefined
  readonly #reply: FastifyReply
  readonly #socket: Socket
  readonly #held: Held | undefined
  readonly #settings: AnswerSettings
  #heldLong: Disposable | undefined
  #rows = 0
  readonly #computing = new Computing(performance.now())
  #taken = { bytes: 0, atMs: performance.now() }
  #hasFinished = false

  constructor (
    request: FastifyRequest, reply: FastifyReply, isEndless: boolean, held: Held | undefined, settings: AnswerSettings
  ) {
    this.caller = request.principal.id
    this.isEndless = isEndless
    this.#reply = reply
    this.#socket = request.raw.socket
    this.#held = held
    this.#settings = settings
  }

  get signal (): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#ended) this.#controller.abort(this.#ended)
    }
    return this.#controller.signal
  }

  get isLong (): boolean { return this.#heldLong !== undefined }
  get computesLong (): boolean { return this.isLong || this.#computing.totalMs > SHORT_COMPUTED_MAX_MS }

  pace (): Promise<void> | undefined {
    if (this.#ended) throw this.#ended
    const computing = this.#computing
    const nowMs = performance.now()
    computing.step(nowMs)
    if (computing.pieceMs < PIECE_MS && !this.#settings.isTurnSpent(nowMs)) return undefined
    this.#countPiece()
    return this.#settings.turn(this).then(() => computing.goOn(performance.now()))
  }

  countRead (rows: number): void { this.#rows += rows }
  get mayReadOn (): boolean { return this.#rows <= this.#settings.rowsMax }
  get rowsRead (): number { return this.#rows }
  get seriesMax (): number { return this.#settings.seriesMax }

  becomeLong (): void {
    if (this.#ended) throw this.#ended
    if (!this.#hasFinished) this.#heldLong ??= this.#settings.holdLong(this.caller)
  }

  /** How long the client has not read waiting data. */
  stalledMs (nowMs: number): number {
    const { bytesWritten, writableLength } = this.#socket
    const bytes = bytesWritten - writableLength
    if (writableLength + this.#reply.raw.writableLength === 0 || bytes !== this.#taken.bytes) {
      this.#taken = { bytes, atMs: nowMs }
    }
    return nowMs - this.#taken.atMs
  }

  /** Ends its work. */
  end (reason: EndReason): void {
    if (this.#ended || this.#hasFinished) return
    this.#abort(reason)
    // so that nobody takes a part for the whole
    if (this.#reply.raw.headersSent && !this.isEndless) this.#reply.raw.destroy()
  }

  /** It is complete. */
  finish (): void {
    if (this.#hasFinished) return
    this.#hasFinished = true
    this.#countPiece()
    this.#held?.[Symbol.dispose]()
    this.#heldLong?.[Symbol.dispose]()
    if (!this.#reply.raw.writableFinished && !this.#ended) this.#abort('client-gone')
  }

  #countPiece (): void {
    const { pieceMs } = this.#computing
    if (pieceMs > 0) this.#settings.computed(this.caller, pieceMs)
    this.#computing.endPiece()
  }

  #abort (reason: EndReason): void {
    this.#settings.ended(reason)
    this.#ended = errorOf(reason)
    this.#controller?.abort(this.#ended)
  }
}

function errorOf (reason: EndReason): RelayError {
  switch (reason) {
    case 'client-gone': return new RelayError(
      'RELAY_CLIENT_GONE', 'the client disconnected before the answer was complete'
    )
    case 'deadline': return new RelayError('RELAY_ANSWER_TOO_SLOW', 'the answer took longer than ANSWER_TIMEOUT_MS')
    case 'stalled': return new RelayError(
      'RELAY_ANSWER_TOO_SLOW', 'the client read nothing of its answer for ANSWER_STALL_MS'
    )
    case 'closing': return new RelayError('RELAY_ANSWER_TOO_SLOW', 'the API is shutting down; try again')
  }
}
