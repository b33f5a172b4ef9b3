/** API keys: lists, creates, rotates and revokes them. */
import type { components } from '@relay-telemetry/client/src/index.ts'
import { useState } from 'preact/hooks'

import { useNow } from '../clock.ts'
import { dataOf, failureOf, type Failure } from '../failure.ts'
import { formatAgo, formatTime, ownZone } from '../format.ts'
import { EmptyNote, FailureNote } from '../notes.tsx'
import { useSession } from '../session.ts'
import { Table } from '../table.tsx'

const ROTATION_OVERLAP_S = 3_600

export type Key = components['schemas']['ApiKey']

export function Keys ({ keys, again }: { readonly keys: readonly Key[]; readonly again: () => void }) {
  const { session } = useSession()
  const [failure, setFailure] = useState<Failure>()
  const [issued, setIssued] = useState<{ readonly name: string; readonly key: string }>()
  const nowMs = useNow()
  const attempt = async (step: () => Promise<void>) => {
    try {
      await step()
      setFailure(undefined)
      again()
    } catch (error) {
      setFailure(failureOf(error))
    }
  }
  const create = (name: string, scopes: Key['scopes'], zones: string[]) =>
    attempt(async () => {
      const body = { name, scopes, ...(zones.length === 0 ? {} : { zones }) }
      setIssued(dataOf(await session!.relay.POST('/api/v1/keys', { body })))
    })
  const rotate = (id: string) =>
    attempt(async () => {
      setIssued(
        dataOf(
          await session!.relay.POST('/api/v1/keys/{id}/rotate', {
            params: { path: { id } },
            body: { overlapSeconds: ROTATION_OVERLAP_S }
          })
        )
      )
    })
  const revoke = (id: string) =>
    attempt(async () => {
      const { response, error } = await session!.relay.DELETE('/api/v1/keys/{id}', { params: { path: { id } } })
      dataOf({ response, error, data: null })
    })
  return (
    <>
      {failure && <FailureNote failure={failure} />}
      {issued && (
        <div class='note warn' role='status'>
          <strong>The key “{issued.name}”</strong>
          <p>
            <code class='secret'>{issued.key}</code>
          </p>
          <p>
            Copy it now: it is shown this once.{' '}
            <button type='button' onClick={() => setIssued(undefined)}>
              I have it
            </button>
          </p>
        </div>
      )}
      {keys.length === 0
        ? (
          <EmptyNote title='No keys yet'>
            Make one for each program that sends or asks, with no more than it needs.
          </EmptyNote>
          )
        : (
          <Table label='Keys' columns={['name', 'may', 'about', 'last used', 'state', 'change']}>
            {keys.map(it => (
              <KeyRow
                key={it.id}
                apiKey={it}
                nowMs={nowMs}
                onRotate={() => rotate(it.id)}
                onRevoke={() => revoke(it.id)}
              />
            ))}
          </Table>
          )}
      <NewKey onCreate={create} />
    </>
  )
}

interface KeyRowProps {
  readonly apiKey: Key
  readonly nowMs: number
  readonly onRotate: () => void
  readonly onRevoke: () => void
}

function KeyRow ({ apiKey, nowMs, onRotate, onRevoke }: KeyRowProps) {
  const [sure, setSure] = useState(false)
  const { name, scopes, zones, devicePrefixes, lastUsedAt, revokedAt, expiresAt, formerSecretUntil } = apiKey
  const isOver = revokedAt !== null || (expiresAt !== null && Date.parse(expiresAt) < nowMs)
  const state =
    revokedAt !== null
      ? `revoked ${formatTime(revokedAt, ownZone)}`
      : expiresAt === null
        ? 'works'
        : `${isOver ? 'expired' : 'works until'} ${formatTime(expiresAt, ownZone)}`
  return (
    <tr class={isOver ? 'filled' : undefined}>
      <td>{name}</td>
      <td>{scopes.join(', ')}</td>
      <td>
        {zones?.join(', ') ?? 'all zones'}
        {devicePrefixes && `, devices ${devicePrefixes.join(', ')} …`}
      </td>
      <td>{lastUsedAt === null ? 'never' : formatAgo(Date.parse(lastUsedAt), nowMs)}</td>
      <td>
        {state}
        {formerSecretUntil !== null && `, the former secret until ${formatTime(formerSecretUntil, ownZone)}`}
      </td>
      <td>
        {!isOver &&
          (sure
            ? (
              <>
                <button type='button' class='danger' onClick={onRevoke}>
                  Revoke for good
                </button>{' '}
                <button type='button' onClick={() => setSure(false)}>
                  Keep
                </button>
              </>
              )
            : (
              <>
                <button type='button' aria-label={`Rotate ${name}`} onClick={onRotate}>
                  Rotate
                </button>{' '}
                <button type='button' aria-label={`Revoke ${name}`} onClick={() => setSure(true)}>
                  Revoke …
                </button>
              </>
              ))}
      </td>
    </tr>
  )
}

const allScopes = ['events:read', 'events:write', 'admin'] as const

function NewKey ({
  onCreate
}: {
  readonly onCreate: (name: string, scopes: Key['scopes'], zones: string[]) => void
}) {
  const [name, setName] = useState('')
  const [scopes, setScopes] = useState<Key['scopes']>(['events:read'])
  const [zones, setZones] = useState('')
  return (
    <form
      class='bar new-key'
      aria-label='A new key'
      onSubmit={event => {
        event.preventDefault()
        onCreate(
          name.trim(),
          scopes,
          zones
            .split(',')
            .map(it => it.trim())
            .filter(it => it !== '')
        )
        setName('')
      }}
    >
      <label class='field'>
        <span>Name of a new key</span>
        <input value={name} required maxLength={100} onInput={event => setName(event.currentTarget.value)} />
      </label>
      <fieldset>
        {allScopes.map(it => (
          <label key={it} class='check'>
            <input
              type='checkbox'
              checked={scopes.includes(it)}
              onChange={event =>
                setScopes(event.currentTarget.checked ? [...scopes, it] : scopes.filter(other => other !== it))}
            />{' '}
            {it}
          </label>
        ))}
      </fieldset>
      <label class='field'>
        <span>Only these zones (commas between)</span>
        <input value={zones} placeholder='all' onInput={event => setZones(event.currentTarget.value)} />
      </label>
      <button type='submit' class='primary' disabled={scopes.length === 0 || name.trim() === ''}>
        Make a key
      </button>
    </form>
  )
}
