/** For administrators: whether the API can work, how fresh answers are, and who has a key. What is wrong is on top. */
import type { components } from '@relay-telemetry/client/src/index.ts'
import { useState } from 'preact/hooks'

import { useAnswer } from '../answer.ts'
import { useNow } from '../clock.ts'
import { dataOf, failureOf, type Failure } from '../failure.ts'
import { formatAgo, formatCount, formatTime, ownZone } from '../format.ts'
import { EmptyNote, FailureNote, Skeleton } from '../notes.tsx'
import { useSession } from '../session.ts'

const REFRESH_MS = 10_000
/** Answers that are further behind than this are worth a look. */
const BEHIND_MS = 30_000
const ROTATION_OVERLAP_S = 3_600

type Key = components['schemas']['ApiKey']

export function Operations () {
  const keys = useAnswer(
    'keys',
    async (relay, signal) => dataOf(await relay.GET('/api/v1/keys', { signal })).keys,
    REFRESH_MS
  )
  if (keys.failure && !keys.data) {
    return (
      <>
        <h1>Operations</h1>
        <FailureNote failure={keys.failure} again={keys.again} />
      </>
    )
  }
  return (
    <>
      <h1>Operations</h1>
      <Health />
      <section class='card' aria-labelledby='keys'>
        <h2 id='keys'>API keys</h2>
        {keys.failure && <FailureNote failure={keys.failure} again={keys.again} />}
        {keys.data ? <Keys keys={keys.data} again={keys.again} /> : <Skeleton height='list' />}
      </section>
    </>
  )
}

interface Fault {
  readonly what: string
  readonly advice: string
}

function Health () {
  const nowMs = useNow()
  const { data, failure, again } = useAnswer(
    'health',
    async (relay, signal) => {
      const [query, ingest, document, newest] = await Promise.all([
        faultsOf('query', signal),
        faultsOf('ingest', signal),
        fetch('/openapi.json', { signal }).then(it => it.json() as Promise<{ info: { version: string } }>),
        relay.GET('/api/v1/aggregates', {
          params: { query: { start: '-24h', interval: 'range', stats: 'count' } },
          signal
        })
      ])
      return { query, ingest, version: document.info.version, day: dataOf(newest) }
    },
    REFRESH_MS
  )
  if (failure && !data) return <FailureNote failure={failure} again={again} />
  if (!data) {
    return (
      <section class='card'>
        <Skeleton height='list' />
      </section>
    )
  }
  const { query, ingest, version, day } = data
  const behindMs = day.completeThrough === null ? undefined : Date.parse(day.end) - Date.parse(day.completeThrough)
  const faults: Fault[] = [
    ...query.map(what => ({
      what: `Queries fail: ${what}`,
      advice: 'docs/runbook.md: is PostgreSQL up, and does DATABASE_URL lead to it?'
    })),
    ...ingest.map(what => ({
      what: `Events can't be sent by HTTP: ${what}`,
      advice: 'docs/runbook.md: is the event log up, and named by EVENT_LOG or KAFKA_BOOTSTRAP_SERVERS?'
    })),
    ...(behindMs !== undefined && behindMs > BEHIND_MS
      ? [
          {
            what: `Answers are complete through ${formatAgo(Date.parse(day.completeThrough!), nowMs)} only`,
            advice: 'npm run relay -- lag says which partition waits, and for whom.'
          }
        ]
      : []),
    ...(day.completeThrough === null
      ? [
          {
            what: 'The API does not know how complete answers are',
            advice: "The API can't ask the event log. Give it KAFKA_BOOTSTRAP_SERVERS, as the processor has it."
          }
        ]
      : [])
  ]
  return (
    <>
      {faults.map(({ what, advice }) => (
        <div key={what} class='note bad' role='alert'>
          <strong>{what}</strong>
          <p>{advice}</p>
        </div>
      ))}
      {faults.length === 0 && (
        <div class='note good'>
          <strong>✓ All is well</strong>
          <p>Questions are answered, events are taken, and answers are up to date.</p>
        </div>
      )}
      <section class='card' aria-label='Numbers'>
        <dl class='facts'>
          <div>
            <dt>Answers complete through</dt>
            <dd>{day.completeThrough === null ? 'not known' : formatTime(day.completeThrough, ownZone, 'zone')}</dd>
          </div>
          <div>
            <dt>Readings, 24 h</dt>
            <dd>{formatCount(day.rows.at(0)?.count ?? 0)}</dd>
          </div>
          <div>
            <dt>Per second, on average</dt>
            <dd>{formatCount(Math.round((day.rows.at(0)?.count ?? 0) / 86_400))}</dd>
          </div>
          <div>
            <dt>Late readings, 24 h</dt>
            <dd>{formatCount(day.lateReadings)}</dd>
          </div>
          <div>
            <dt>Resends, 24 h</dt>
            <dd>{formatCount(day.duplicateReadings)}</dd>
          </div>
          <div>
            <dt>Version of the API</dt>
            <dd>{version}</dd>
          </div>
        </dl>
        <p class='hint'>
          Lag by partition: <code>npm run relay -- lag</code>. Dead letters and their replay:{' '}
          <code>npm run relay -- dead-letters list</code>. All metrics are at the port of metrics, with alarms and
          dashboards for Grafana.
        </p>
      </section>
    </>
  )
}

/** What is missing, by `/readyz`, which anybody may ask. */
async function faultsOf (name: 'query' | 'ingest', signal: AbortSignal): Promise<string[]> {
  const answer = await fetch(`/readyz?for=${name}`, { signal })
  const { faults = {} } = (await answer.json()) as { faults?: Record<string, string> }
  return Object.entries(faults).map(([part, fault]) => `${part} ${fault}`)
}

function Keys ({ keys, again }: { readonly keys: readonly Key[]; readonly again: () => void }) {
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
          <div class='scroll' tabIndex={0} role='region' aria-label='Keys'>
            <table>
              <thead>
                <tr>
                  <th scope='col'>name</th>
                  <th scope='col'>may</th>
                  <th scope='col'>about</th>
                  <th scope='col'>last used</th>
                  <th scope='col'>state</th>
                  <th scope='col'>change</th>
                </tr>
              </thead>
              <tbody>
                {keys.map(it => (
                  <KeyRow
                    key={it.id}
                    apiKey={it}
                    nowMs={nowMs}
                    onRotate={() => rotate(it.id)}
                    onRevoke={() => revoke(it.id)}
                  />
                ))}
              </tbody>
            </table>
          </div>
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
