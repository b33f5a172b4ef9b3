import type { components } from './schema.ts'

/** What the API answers when it refuses: RFC 9457, with a stable `code`. */
export type Problem = components['schemas']['Problem']

/** A refusal, as an error. `message` says what is wrong, and what would help. */
export class RelayProblem extends Error {
  readonly problem: Problem

  constructor (problem: Problem) {
    super(problem.detail)
    this.name = 'RelayProblem'
    this.problem = problem
  }
}

/** @param body of an answer that is a refusal, as openapi-fetch read it; a proxy may say something else than a problem */
export function errorOf (body: unknown, { url, status }: Response): Error {
  if (typeof (body as Partial<Problem>)?.code === 'string') return new RelayProblem(body as Problem)
  return new Error(`${url} answers ${status}: ${String(body).slice(0, 200)}`)
}
