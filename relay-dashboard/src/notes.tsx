/** What a view shows in place of data: waiting, no data, or a failure. */
import type { ComponentChildren } from 'preact'

import type { Failure } from './failure.ts'

export function FailureNote ({ failure: { title, detail, advice }, again }: { failure: Failure, again?: () => void }) {
  return (
    <div class='note bad' role='alert'>
      <strong>{title}</strong>
      <p>{detail} {advice}</p>
      {again && <button type='button' onClick={again}>Try again now</button>}
    </div>
  )
}

export function EmptyNote ({ title, children }: { title: string, children: ComponentChildren }) {
  return (
    <div class='note empty'>
      <strong>{title}</strong>
      <p>{children}</p>
    </div>
  )
}

/** Reserves the place of data that will arrive. */
export function Skeleton ({ height }: { height: 'line' | 'list' | 'chart' | 'table' }) {
  return <div class={`skeleton ${height}`} role='status' aria-label='Loading' />
}
