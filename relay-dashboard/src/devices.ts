/**
 * The list of devices, page by page as the API gives it:
 *
 *     by id         pages are asked for as somebody scrolls to their end
 *     silent first  all pages are asked for, one after the other, and then sorted
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
  /** more can be asked for */
  readonly hasMore: boolean
  readonly failure: Failure | undefined
  readonly more: () => void
}

export type Order = 'id' | 'silent'

const PAGE_DEVICES = 1_000

interface State {
  readonly devices: readonly Device[]
  readonly next: string | null | undefined
  readonly failure?: Failure
}

export function useDevices (query: DeviceQuery, order: Order): DeviceList {
  const { session } = useSession()
  const question = JSON.stringify(query)
  const [state, setState] = useState<State>({ devices: [], next: undefined })
  const [wanted, setWanted] = useState(1)
  const asked = useRef({ question, pages: 0 })

  useEffect(() => {
    asked.current = { question, pages: 0 }
    setState({ devices: [], next: undefined })
    setWanted(1)
  }, [question])

  useEffect(() => {
    if (session === undefined) return
    const gone = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const ask = async (from: State): Promise<void> => {
      const pagesMax = order === 'silent' ? Infinity : wanted
      for (let current = from; current.next !== null && asked.current.pages < pagesMax;) {
        current = await askPage(session.relay, query, current, gone.signal)
        if (gone.signal.aborted) return
        asked.current.pages++
        setState(current)
      }
    }
    const start = (from: State) => {
      ask(from).catch(error => {
        if (gone.signal.aborted) return
        const failure = failureOf(error)
        if (failure.isSignedOut) return signOut(failure.detail)
        setState(it => ({ ...it, failure }))
        if (failure.retryAfterMs === undefined) return
        timer = setTimeout(() => setWanted(it => it + 1), failure.retryAfterMs)
      })
    }
    start(asked.current.pages === 0 ? { devices: [], next: undefined } : state)
    return () => {
      gone.abort()
      clearTimeout(timer)
    }
  }, [question, session, wanted, order])

  const devices = useMemo(() => {
    if (order === 'id' || state.next !== null) return state.devices
    return state.devices.toSorted((a, b) => Date.parse(a.lastSeen) - Date.parse(b.lastSeen))
  }, [state, order])
  return {
    devices,
    isLoading:
      state.failure === undefined &&
      state.next !== null &&
      (order === 'silent' || state.next === undefined || asked.current.pages < wanted),
    hasMore: state.next !== null,
    failure: state.failure,
    more: () => {
      if (state.next) setWanted(asked.current.pages + 1)
    }
  }
}

async function askPage (
  relay: RelayClient,
  { prefix, zone, type }: DeviceQuery,
  { devices, next }: State,
  signal: AbortSignal
): Promise<State> {
  const query = {
    ...(prefix === '' ? {} : { prefix }),
    zone,
    type,
    limit: PAGE_DEVICES,
    ...(next ? { cursor: next } : {})
  }
  const page = dataOf(await relay.GET('/api/v1/devices', { params: { query }, signal }))
  return { devices: [...devices, ...page.devices], next: page.next }
}
