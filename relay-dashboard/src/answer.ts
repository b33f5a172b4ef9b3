/**
 * A query to the API, and its result so far:
 *
 *     asked ──answer──▶ data ──query changes──▶ asked; the earlier data stay until the next arrive
 *       └──failure──▶ failure ──after its time──▶ asked
 *
 * So a view always has something to show, and its layout does not jump.
 */
import type { RelayClient } from '@relay-telemetry/client/src/index.ts'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

import { failureOf, type Failure } from './failure.ts'
import { signOut, useSession } from './session.ts'

export interface Answer<T> {
  readonly data: T | undefined
  readonly failure: Failure | undefined
  readonly isLoading: boolean
  readonly again: () => void
}

interface State<T> { readonly data?: T, readonly failure?: Failure, readonly isLoading: boolean }

/**
 * @param queryKey the query as text: another text sends a request; undefined: no request
 * @param refreshMs how often the request is repeated while the page is visible
 */
export function useAnswer<T> (
  queryKey: string | undefined, ask: (relay: RelayClient, signal: AbortSignal) => Promise<T>, refreshMs?: number
): Answer<T> {
  const { session } = useSession()
  const [state, setState] = useState<State<T>>({ isLoading: queryKey !== undefined })
  const [round, setRound] = useState(0)
  const asking = useRef(ask)
  asking.current = ask
  const again = () => setRound(it => it + 1)

  useLayoutEffect(() => { // before the first frame, so that the request is in progress while that is drawn
    if (queryKey === undefined || session === undefined) return setState({ isLoading: false })
    const gone = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const later = (waitMs: number | undefined) => {
      if (waitMs !== undefined) timer = setTimeout(() => document.hidden ? later(waitMs) : again(), waitMs)
    }
    setState(before => ({ ...before, isLoading: true }))
    asking.current(session.relay, gone.signal).then(data => {
      if (gone.signal.aborted) return
      setState({ data, isLoading: false })
      later(refreshMs)
    }, error => {
      if (gone.signal.aborted) return
      const failure = failureOf(error)
      if (failure.isSignedOut) return signOut(failure.detail)
      setState(before => ({ ...before, failure, isLoading: false }))
      later(failure.retryAfterMs)
    })
    return () => {
      gone.abort()
      clearTimeout(timer)
    }
  }, [queryKey, session, round])
  return { data: state.data, failure: state.failure, isLoading: state.isLoading, again }
}
