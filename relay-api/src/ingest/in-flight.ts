/**
 * How many bytes of requests are in memory at once: from the arrival of a body until its answer. There is no waiting
 * for room: whoever finds none is told to come back, so that what a slow log holds up is bounded by this, and by nothing
 * that clients do. One caller has a part of it at most, so that the others find room whatever that one does.
 */
import { RelayError } from 'relay-common'

import type { Budgets, Held } from '../budgets/budgets.ts'

export interface InFlight {
  readonly bytes: number
  /**
   * Room for one request. It must be given back, whatever becomes of the request.
   * @param caller id of a principal
   */
  open (caller: string): Lease
}

export interface Lease extends Disposable {
  /**
   * @throws RelayError RELAY_INGEST_BUSY where there is no room for so many bytes more, RELAY_BUDGET_EXCEEDED where this
   *   caller has none
   */
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
          // a body whose time is over may still come in
          if (isClosed) throw new RelayError('RELAY_INGEST_BUSY', 'the request of these bytes has ended')
          if (held) held.add(bytes)
          else held = budgets.hold('ingestInFlight', caller, bytes)
          if (taken + bytes > maxBytes) {
            throw new RelayError('RELAY_INGEST_BUSY', `${taken} bytes of events are already waiting for the event log`)
          }
          budgets.spend('ingestBytes', caller, bytes) // last: what finds no room and is tried again is not spent
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
