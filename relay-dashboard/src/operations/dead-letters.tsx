/**
 * Dead letters: how many by reason, the newest of them, one of them with its bytes, and replays, each after a dry run.
 */
import type { components } from '@relay-telemetry/client/src/index.ts'
import { useState } from 'preact/hooks'

import { useAnswer } from '../answer.ts'
import { dataOf, failureOf, type Failure } from '../failure.ts'
import { countOf, formatCount, formatTime, ownZone } from '../format.ts'
import { addressOf, changed, go, usePlace, type Change } from '../location.ts'
import { EmptyNote, FailureNote, Skeleton } from '../notes.tsx'
import { useSession } from '../session.ts'
import { Table } from '../table.tsx'

const REFRESH_MS = 30_000
/** Most letters that one replay may name. */
const SHOWN_MAX = 100
const ranges = { '1h': 'last hour', '24h': 'last 24 hours', '7d': 'last 7 days', '30d': 'last 30 days' } as const
const NO_TOPIC = 404
const RANGE_PRESET: keyof typeof ranges = '24h'

type Listed = components['schemas']['DeadLetter']
type Replayed = components['schemas']['DeadLetterReplayAnswer']

interface DeadLettersProps {
  /** of the view that shows them */
  readonly path: string
  /** only letters of this device; undefined: of the device in the address, or of all */
  readonly device?: string
}

export function DeadLetters ({ path, device: ofView }: DeadLettersProps) {
  const { query } = usePlace()
  const asked = query.get('letters') ?? RANGE_PRESET
  const range = asked in ranges ? (asked as keyof typeof ranges) : RANGE_PRESET
  const reason = query.get('reason') ?? undefined
  const device = ofView ?? query.get('device') ?? undefined
  const change = (it: Change) => go(addressOf(path, changed(query, it)))
  const [looked, setLooked] = useState<string>()
  const request = { start: `-${range}`, limit: SHOWN_MAX, ...(device === undefined ? {} : { device }) }
  const { data, failure, again } = useAnswer(
    JSON.stringify([request, reason]),
    async (relay, signal) => {
      const ask = (more: object) => relay.GET(
        '/api/v1/dead-letters', { params: { query: { ...request, ...more } }, signal }
      )
      const all = await ask(reason === undefined ? {} : { limit: 1 })
      if (all.response.status === NO_TOPIC) {
        return { reasons: [], letters: [], hasMore: false, missing: all.error?.detail }
      }
      const some = reason === undefined ? all : await ask({ reason: [reason] })
      const { letters, next } = dataOf(some)
      return { reasons: dataOf(all).reasons, letters, hasMore: next !== null }
    },
    REFRESH_MS
  )
  return (
    <section class='card' aria-labelledby='dead-letters'>
      <h2 id='dead-letters'>Dead letters</h2>
      <div class='bar'>
        <label class='field'>
          <span>Refused in the</span>
          <select
            value={range}
            onChange={event => change({
              letters: event.currentTarget.value === RANGE_PRESET
                ? undefined
                : event.currentTarget.value
            })}
          >
            {Object.entries(ranges).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
        {device !== undefined && ofView === undefined && (
          <p class='chosen'>
            only of {device}{' '}
            <button type='button' onClick={() => change({ device: undefined })}>
              Of all devices
            </button>
          </p>
        )}
        <p class='chosen'>
          <a href='/runbook#dead-letters'>What to do</a>
        </p>
      </div>
      {failure && <FailureNote failure={failure} again={again} />}
      {!data && !failure && <Skeleton height='list' />}
      {data && data.reasons.length === 0 && (
        <EmptyNote title='No dead letters'>{data.missing ?? 'Every event of this time was accepted.'}</EmptyNote>
      )}
      {data && data.reasons.length > 0 && (
        <>
          <div class='bar' role='group' aria-label='By reason'>
            {data.reasons.map(it => (
              <button
                key={it.reason}
                type='button'
                aria-pressed={it.reason === reason}
                disabled={it.reason === 'other'}
                onClick={() => change({ reason: it.reason === reason ? undefined : it.reason })}
              >
                {it.reason} <b>{formatCount(it.count)}</b>
              </button>
            ))}
          </div>
          <Letters letters={data.letters} looked={looked} onLook={it => setLooked(it === looked ? undefined : it)} />
          {data.hasMore && <p class='hint'>These are the newest {SHOWN_MAX}. Choose a shorter time or a reason.</p>}
          {looked !== undefined && (
            <Letter key={looked} letter={looked} onReplayed={again} onClose={() => setLooked(undefined)} />
          )}
          <Replay key={data.letters.map(it => it.letter).join()} letters={waiting(data.letters)} onReplayed={again} />
        </>
      )}
    </section>
  )
}

const waiting = (letters: readonly Listed[]) => letters.filter(it => it.replayedAt === null).map(it => it.letter)

interface LettersProps {
  readonly letters: readonly Listed[]
  readonly looked: string | undefined
  readonly onLook: (letter: string) => void
}

function Letters ({ letters, looked, onLook }: LettersProps) {
  return (
    <Table label='Letters' columns={['time', 'reason', 'what was found', 'device', 'from', 'replayed', 'look']} isShort>
      {letters.map(it => (
        <tr key={it.letter} class={it.replayedAt === null ? undefined : 'filled'}>
          <td>{formatTime(it.time, ownZone, 'second')}</td>
          <td>
            {it.reason}
            {it.field !== null && `: ${it.field}`}
          </td>
          <td class='long'>{it.detail}</td>
          <td class='long'>{it.device ?? '–'}</td>
          <td>{it.sourceOffset === null ? it.principal ?? it.sourceTopic : `${it.sourcePartition}:${it.sourceOffset}`}</td>
          <td>{it.replayedAt === null ? 'no' : formatTime(it.replayedAt, ownZone)}</td>
          <td>
            <button type='button' aria-pressed={it.letter === looked} aria-label={`Look into ${it.letter}`} onClick={() => onLook(it.letter)}>
              {it.letter}
            </button>
          </td>
        </tr>
      ))}
    </Table>
  )
}

interface LetterProps {
  readonly letter: string
  readonly onReplayed: () => void
  readonly onClose: () => void
}

function Letter ({ letter, onReplayed, onClose }: LetterProps) {
  const { data, failure, again } = useAnswer(`letter ${letter}`, async (relay, signal) =>
    dataOf(await relay.GET('/api/v1/dead-letters/{letter}', { params: { path: { letter } }, signal })))
  return (
    <section class='note' aria-label={`Letter ${letter}`}>
      <strong>Letter {letter}</strong>
      {failure && <FailureNote failure={failure} again={again} />}
      {!data && !failure && <Skeleton height='line' />}
      {data && (
        <>
          <p>
            {data.reason}
            {data.field !== null && `, field ${data.field}`}: {data.detail}
          </p>
          <p class='hint'>
            Key {data.key === null ? 'none' : textOf(data.key)}.{' '}
            {data.sourceOffset === null
              ? `Refused by the API, from ${data.sourceTopic}${data.principal === null ? '' : `, sent by ${data.principal}`}.`
              : `From ${data.sourceTopic}, partition ${data.sourcePartition}, offset ${data.sourceOffset}.`}{' '}
            {data.valueBytes !== null && `${countOf(data.valueBytes, 'byte')}${data.isTruncated ? ', truncated' : ''}.`}
          </p>
          <pre tabIndex={0} aria-label='Value'>{data.value === null ? 'no value' : textOf(data.value)}</pre>
        </>
      )}
      <Replay letters={[letter]} onReplayed={onReplayed} />
      <button type='button' onClick={onClose}>
        Close
      </button>
    </section>
  )
}

/** Bytes as text; invalid UTF-8 is visible. @param base64 of an answer */
function textOf (base64: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(base64), it => it.charCodeAt(0)))
}

/** Two steps: a dry run, and what it would send. */
function Replay ({ letters, onReplayed }: { readonly letters: readonly string[]; readonly onReplayed: () => void }) {
  const { session } = useSession()
  const [answer, setAnswer] = useState<Replayed>()
  const [failure, setFailure] = useState<Failure>()
  const [isBusy, setIsBusy] = useState(false)
  const replay = async (some: readonly string[], dryRun: boolean) => {
    setIsBusy(true)
    try {
      setAnswer(dataOf(
        await session!.relay.POST('/api/v1/dead-letters/replay', { body: { letters: [...some], dryRun, again: false } })
      ))
      setFailure(undefined)
      if (!dryRun) onReplayed()
    } catch (error) {
      setFailure(failureOf(error))
    }
    setIsBusy(false)
  }
  const ready = answer?.letters.filter(it => it.outcome === 'ready').map(it => it.letter) ?? []
  const kept = Object.entries(Object.groupBy(answer?.letters.filter(it => it.detail !== null) ?? [], it => it.outcome))
  return (
    <div class='replay'>
      {failure && <FailureNote failure={failure} />}
      <button type='button' disabled={isBusy || letters.length === 0} onClick={() => replay(letters, true)}>
        {letters.length === 1 ? 'Dry run of a replay' : `Dry run of a replay of ${countOf(letters.length, 'letter')}`}
      </button>{' '}
      {ready.length > 0 && (
        <button type='button' class='primary' disabled={isBusy} onClick={() => replay(ready, false)}>
          Replay {countOf(ready.length, 'letter')}
        </button>
      )}
      <output>
        {answer && (
          <>
            {answer.dryRun
              ? `A replay would send ${countOf(answer.sent, 'letter')} to the events topic.`
              : `${countOf(answer.sent, 'letter')} sent to the events topic.`}
            {kept.map(([outcome, some]) => (
              <span key={outcome}>
                {' '}
                Not sent: {formatCount(some!.length)} ({outcome}: {some![0].detail}).
              </span>
            ))}
          </>
        )}
      </output>
    </div>
  )
}
