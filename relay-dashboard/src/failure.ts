/** Why there is no answer, and what a person can do about it. */
import { RelayProblem, type Problem } from '@relay-telemetry/client/src/index.ts'

export interface Failure {
  readonly title: string
  /** what is wrong */
  readonly detail: string
  /** what to do */
  readonly advice: string
  /** when the page retries by itself; undefined: that would not help */
  readonly retryAfterMs?: number
  readonly isSignedOut?: boolean
}

/** An answer that is a refusal. */
export class Refused extends Error {
  readonly status: number
  readonly retryAfterS: number | undefined
  readonly problem: Partial<Problem> | undefined

  constructor (response: Response, body: unknown) {
    const problem = typeof body === 'object' && body !== null ? (body as Partial<Problem>) : undefined
    super(problem?.detail ?? `the API answers ${response.status}`)
    this.status = response.status
    this.problem = problem
    const seconds = Number(response.headers.get('retry-after') ?? NaN)
    this.retryAfterS = Number.isFinite(seconds) ? seconds : undefined
  }
}

interface Answered<T> {
  readonly data?: T
  readonly error?: unknown
  readonly response: Response
}

/** @throws Refused */
export function dataOf<T> ({ data, error, response }: Answered<T>): T {
  if (!response.ok) throw new Refused(response, error)
  return data as T
}

const AWAY_RETRY_MS = 2_000
const BUSY_RETRY_S = 5

export function failureOf (error: unknown): Failure {
  if (error instanceof Refused) return refusal(error.status, error.message, error.retryAfterS)
  if (error instanceof RelayProblem) return refusal(error.problem.status, error.message, undefined)
  if (error instanceof TypeError) {
    return {
      title: 'The API does not answer',
      detail: `There is no connection to ${location.host}.`,
      advice: 'Is it running? This page tries again every two seconds.',
      retryAfterMs: AWAY_RETRY_MS
    }
  }
  return {
    title: 'Something went wrong',
    detail: String((error as Error)?.message ?? error),
    advice: 'Reload the page. If it stays, please report it.'
  }
}

function refusal (status: number, message: string, retryAfterS: number | undefined): Failure {
  const detail = sentence(message)
  if (status === 401) {
    return { title: 'Signed out', detail, advice: 'Sign in with a token that is accepted.', isSignedOut: true }
  }
  if (status === 403) {
    return {
      title: 'Not for this token',
      detail,
      advice: 'Choose something that your token may see, or ask an administrator for a key with this scope or zone.'
    }
  }
  if (status === 404) {
    return { title: 'No data', detail, advice: 'Choose a longer range or another device.' }
  }
  if (status === 429 || status === 503) {
    const waitS = retryAfterS ?? BUSY_RETRY_S
    return {
      title: status === 429 ? 'Too many requests' : 'The API is busy or its database is away',
      detail,
      advice: `This page tries again in ${waitS} s.`,
      retryAfterMs: waitS * 1_000
    }
  }
  if (status < 500) {
    return { title: "The question can't be answered", detail, advice: 'Change what is asked for above.' }
  }
  return { title: 'The API failed', detail, advice: 'Try again. If it stays, the log of the API says why.' }
}

function sentence (text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.?!]$/.test(first) ? first : `${first}.`
}
