/**
 * The list of devices, page by page as the API gives it:
 *
 *     by id         the next page is requested when somebody scrolls to the end
 *     silent first  all pages are requested one after the other, then sorted
 *
 * When there are more devices than before, or fewer, the pages that are there are asked for again, and take their place
 * at once.
 * Devices keep their order then: new ones come between.
 */
import type { components, RelayClient } from '@relay-telemetry/client/src/index.ts'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'

import { dataOf, failureOf, type Failure } from './failure.ts'
import { signOut, useSession } from './session.ts'

export type Device = components['schemas']['Device']

export interface DeviceQuery {
  readonly prefix: string
  readonly zone?: string[]
  readonly type?: string[]
}

export interface DeviceList {
  readonly devices: readonly Device[]
  readonly isLoading: boolean
  /** whether there are more pages */
  readonly hasMore: boolean
  readonly failure: Failure | undefined
  readonly more: () => void
}

export type Order = 'id' | 'silent'

const PAGE_DEVICES = 1_000

interface Pages {
  readonly devices: readonly Device[]
  readonly next: string | null | undefined
  readonly count: number
}

const noPages: Pages = { devices: [], next: undefined, count: 0 }

interface State extends Pages {
  /** their answers */
  readonly queryKey: string
  /** number of devices at the time of the request */
  readonly total: number
  readonly failure?: Failure
}

/** @param total number of devices: another number sends the requests again */
export function useDevices (query: DeviceQuery, order: Order, total: number): DeviceList {
  const { session } = useSession()
  const queryKey = JSON.stringify(query)
  const [state, setState] = useState<State>({ ...noPages, queryKey, total })
  const [wanted, setWanted] = useState(1)
  const [attempt, setAttempt] = useState(0)
  const latest = useRef(state)
  latest.current = state
  /** by device, its last reading when it was first listed; the order depends on it */
  const listed = useRef(new Map<string, number>())
  const isNew = state.queryKey !== queryKey

  useEffect(() => {
    if (isNew) {
      listed.current = new Map()
      setWanted(1)
    }
  }, [queryKey])

  useEffect(() => {
    if (session === undefined) return
    const gone = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const pagesMax = order === 'silent' ? Infinity : isNew ? 1 : wanted
    const before = latest.current
    const isAgain = !isNew && before.total !== total && before.count > 0
    const ask = async () => {
      let pages: Pages = isNew || isAgain ? noPages : before
      // pages that are read again are shown all at once, so that the list does not jump
      const shownFrom = isAgain ? before.count : 1
      while (pages.next !== null && pages.count < Math.max(pagesMax, isAgain ? before.count : 0)) {
        pages = await askPage(session.relay, query, pages, gone.signal)
        if (gone.signal.aborted) return
        if (pages.count >= shownFrom || pages.next === null) setState({ ...pages, queryKey, total })
      }
    }
    if (isNew) setState({ ...noPages, queryKey, total })
    ask().catch(error => {
      if (gone.signal.aborted) return
      const failure = failureOf(error)
      if (failure.isSignedOut) return signOut(failure.detail)
      setState(it => ({ ...it, failure }))
      if (failure.retryAfterMs === undefined) return
      timer = setTimeout(() => setAttempt(it => it + 1), failure.retryAfterMs)
    })
    return () => {
      gone.abort()
      clearTimeout(timer)
    }
  }, [queryKey, session, wanted, order, total, attempt])

  const devices = useMemo(() => {
    if (order === 'id' || state.next !== null) return state.devices
    const { current } = listed
    for (const it of state.devices) if (!current.has(it.device)) current.set(it.device, Date.parse(it.lastSeen))
    return state.devices.toSorted((a, b) => current.get(a.device)! - current.get(b.device)!)
  }, [state, order])
  return {
    devices: isNew ? [] : devices,
    isLoading: isNew || (state.failure === undefined && state.next !== null &&
      (order === 'silent' || state.next === undefined || state.count < wanted)),
    hasMore: state.next !== null,
    failure: state.failure,
    more: () => {
      if (state.next) setWanted(state.count + 1)
    }
  }
}

async function askPage (
  relay: RelayClient,
  { prefix, zone, type }: DeviceQuery,
  { devices, next, count }: Pages,
  signal: AbortSignal
): Promise<Pages> {
  const query = {
    ...(prefix === '' ? {} : { prefix }),
    zone,
    type,
    limit: PAGE_DEVICES,
    ...(next ? { cursor: next } : {})
  }
  const page = dataOf(await relay.GET('/api/v1/devices', { params: { query }, signal }))
  return { devices: [...devices, ...page.devices], next: page.next, count: count + 1 }
}
