import type { components } from './schema.ts'

/** A refusal of the API: RFC 9457, with a stable `code`. */
export type Problem = components['schemas']['Problem']

/** A refusal as an error. `message` says what is wrong, and what to do. */
export class RelayProblem extends Error {
  readonly problem: Problem

  constructor (problem: Problem) {
    super(problem.detail)
    this.name = 'RelayProblem'
    this.problem = problem
  }
}

/** @param body of a refusal, as read by openapi-fetch; a proxy may send something else than a problem */
export function errorOf (body: unknown, { url, status }: Response): Error {
  if (typeof (body as Partial<Problem>)?.code === 'string') return new RelayProblem(body as Problem)
  return new Error(`${url} answers ${status}: ${String(body).slice(0, 200)}`)
}
