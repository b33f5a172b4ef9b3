/**
 * Bytes of requests in memory: from the arrival of a body to its answer. Nobody waits for room: a request without room
 * is told to retry. So this limit bounds the memory behind a slow log, whatever clients do. A caller may use part of
 * it, so that others always find room.
 */
import { RelayError } from 'relay-common'

import type { Budgets, Held } from '../budgets/budgets.ts'

export interface InFlight {
  readonly bytes: number
  /**
   * Room for one request. Release it in any case.
   * @param caller id of a principal
   */
  open (caller: string): BytesLease
}

export interface BytesLease extends Disposable {
  /** @throws RelayError RELAY_INGEST_BUSY if there is no room, RELAY_BUDGET_EXCEEDED if this caller has none */
  take (bytes: number): void
}

export function createInFlight (maxBytes: number, budgets: Budgets): InFlight {
  let taken = 0
  return {
    get bytes () { return taken },
    open (caller) {
      let own = 0
      let held: Held | undefined
      let isClosed = false
      return {
        take (bytes) {
          // a body may continue to arrive after its deadline
          if (isClosed) throw new RelayError('RELAY_INGEST_BUSY', 'the request of these bytes has ended')
          if (held) held.add(bytes)
          else held = budgets.hold('ingestInFlight', caller, bytes)
          if (taken + bytes > maxBytes) {
            throw new RelayError('RELAY_INGEST_BUSY', `${taken} bytes of events are already waiting for the event log`)
          }
          budgets.spend('ingestBytes', caller, bytes) // last, so that a retry without room spends nothing
          taken += bytes
          own += bytes
        },
        [Symbol.dispose] () {
          isClosed = true
          held?.[Symbol.dispose]()
          taken -= own
          own = 0
        }
      }
    }
  }
}
