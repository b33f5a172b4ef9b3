/**
 * Logs refusals (lines with `audit`): who, what, from where. Each address and caller has a limit per minute, and all
 * have one per second, because a flood must not fill a disk. The first line after a limit has the number of skipped
 * ones.
 */
import type { FastifyRequest } from 'fastify'
import type { Logger } from 'relay-common'

import { createWindowCounter } from './window-counter.ts'

const LINES_PER_MINUTE_MAX = 60
const LINES_PER_S_MAX = 50
const PATH_CHARACTERS_MAX = 200

export interface Refusal {
  /** `unauthorized`, `blocked`, `forbidden` */
  readonly act: string
  readonly reason: string
  readonly address: string
  readonly principal?: string
  readonly [detail: string]: unknown
}

export type LogRefusal = (refusal: Refusal) => void

export function createRefusalLog (log: Logger, now?: () => number): LogRefusal {
  const byWhom = createWindowCounter(60_000, undefined, now)
  const all = createWindowCounter(1_000, 1, now)
  let leftOut = 0
  return refusal => {
    const whom = refusal.principal ?? refusal.address
    if (byWhom.add(whom).count > LINES_PER_MINUTE_MAX || all.add('').count > LINES_PER_S_MAX) {
      leftOut++
      return
    }
    log.warn({ ...refusal, ...leftOut > 0 ? { leftOut } : {} }, 'refused')
    leftOut = 0
  }
}

/** A refusal of a request. */
export function refusalOf (request: FastifyRequest, act: string, reason: string): Refusal {
  return {
    act,
    reason,
    principal: request.principal?.id,
    address: request.ip,
    requestId: request.id,
    method: request.method,
    path: request.originalUrl.split('?', 1)[0].slice(0, PATH_CHARACTERS_MAX)
  }
}
