/**
 * The address is the state of the page: whoever gets it sees the same, and the back button undoes a step. Tokens are
 * never in it.
 */
import { useEffect, useState } from 'preact/hooks'

export interface Place {
  readonly path: string
  readonly query: URLSearchParams
}

const listeners = new Set<() => void>()
addEventListener('popstate', tellAll)

function tellAll (): void {
  for (const listener of listeners) listener()
}

function here (): Place {
  return { path: location.pathname, query: new URLSearchParams(location.search) }
}

export function usePlace (): Place {
  const [place, setPlace] = useState(here)
  useEffect(() => {
    const listener = () => setPlace(here())
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
    }
  }, [])
  return place
}

export function addressOf (path: string, query: URLSearchParams): string {
  const text = query.toString()
  return text === '' ? path : `${path}?${text}`
}

/** @param how push: the Back button returns here; replace: it does not, for steps that nobody would undo */
export function go (address: string, how: 'push' | 'replace' = 'push'): void {
  if (address === location.pathname + location.search) return
  if (how === 'push') history.pushState(null, '', address)
  else history.replaceState(null, '', address)
  tellAll()
}

/** A change of some parameters of the address; undefined or an empty list takes one out. */
export type Change = Readonly<Record<string, string | readonly string[] | undefined>>

export function changed (query: URLSearchParams, change: Change): URLSearchParams {
  const next = new URLSearchParams(query)
  for (const [name, value] of Object.entries(change)) {
    next.delete(name)
    for (const it of typeof value === 'string' ? [value] : (value ?? [])) next.append(name, it)
  }
  return next
}

/** A link within the page. With a modifier key the browser handles it and opens a tab. */
export function follow (event: MouseEvent): void {
  const { href } = event.currentTarget as HTMLAnchorElement
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  const { pathname, search } = new URL(href)
  go(pathname + search)
}
