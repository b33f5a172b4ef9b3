/** The data of a view as a file, a command or code. */
import type { AggregatesQuery } from '@relay-telemetry/client/src/index.ts'
import { useState } from 'preact/hooks'

import { failureOf, Refused, type Failure } from './failure.ts'
import { FailureNote } from './notes.tsx'
import { useSession } from './session.ts'

interface TakeAwayProps {
  readonly query: AggregatesQuery
  readonly curl: () => string
  readonly code: () => string
}

const ROWS_MAX = 1_000_000

export function TakeAway ({ query, curl, code }: TakeAwayProps) {
  const { session } = useSession()
  const [said, setSaid] = useState('')
  const [failure, setFailure] = useState<Failure>()

  async function save (format: 'csv' | 'json'): Promise<void> {
    try {
      const asked = { ...query, format, ...(format === 'json' ? { limit: ROWS_MAX } : {}) }
      const { response, error, data } = await session!.relay.GET('/api/v1/aggregates', {
        params: { query: asked },
        parseAs: 'blob'
      })
      if (!response.ok) throw new Refused(response, error)
      download(data as unknown as Blob, `relay-aggregates.${format}`)
      setFailure(undefined)
      setSaid(`${format.toUpperCase()} saved`)
    } catch (error) {
      setFailure(failureOf(error))
    }
  }
  async function copy (text: string, what: string): Promise<void> {
    await navigator.clipboard.writeText(text).then(
      () => setSaid(`${what} copied`),
      () => setSaid(text)
    )
  }

  return (
    <>
      <p class='take-away'>
        <button type='button' onClick={() => save('csv')}>
          Export CSV
        </button>
        <button type='button' onClick={() => save('json')}>
          Export JSON
        </button>
        <button type='button' onClick={() => copy(curl(), 'curl')}>
          Copy as curl
        </button>
        <button type='button' onClick={() => copy(code(), 'Code')}>
          Copy as relay-client
        </button>
        <output class='hint'>{said}</output>
      </p>
      {failure && <FailureNote failure={failure} />}
    </>
  )
}

function download (blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000) // the browser reads it after the click
}
