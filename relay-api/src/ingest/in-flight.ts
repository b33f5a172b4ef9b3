/**
 * How many bytes of requests are in memory at once: from the arrival of a body until its answer. There is no waiting
 * for room: whoever finds none is told to come back, so that what a slow log holds up is bounded by this, and by nothing
 * that clients do.
 */
import { RelayError } from 'relay-common'

export interface InFlight {
  readonly bytes: number
  /** Room for one request. It must be given back, whatever becomes of the request. */
  open (): Lease
}

export interface Lease extends Disposable {
  /** @throws RelayError RELAY_INGEST_BUSY where there is no room for so many bytes more */
  take (bytes: number): void
}

export function createInFlight (maxBytes: number): InFlight {
  let taken = 0
  return {
    get bytes () { return taken },
    open () {
      let own = 0
      return {
        take (bytes) {
          if (taken + bytes > maxBytes) {
            throw new RelayError('RELAY_INGEST_BUSY', `${taken} bytes of events wait for the event log already`)
          }
          taken += bytes
          own += bytes
        },
        [Symbol.dispose] () {
          taken -= own
          own = 0
        }
      }
    }
  }
}
