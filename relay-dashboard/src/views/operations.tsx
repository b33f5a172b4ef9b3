/** For administrators: faults, lag, dead letters and API keys. */
import { useAnswer } from '../answer.ts'
import { dataOf } from '../failure.ts'
import { FailureNote, Skeleton } from '../notes.tsx'
import { DeadLetters } from '../operations/dead-letters.tsx'
import { Keys } from '../operations/keys.tsx'
import { Status } from '../operations/status.tsx'

const REFRESH_MS = 10_000

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
      <Status />
      <DeadLetters path='/operations' />
      <section class='card' aria-labelledby='keys'>
        <h2 id='keys'>API keys</h2>
        {keys.failure && <FailureNote failure={keys.failure} again={keys.again} />}
        {keys.data ? <Keys keys={keys.data} again={keys.again} /> : <Skeleton height='list' />}
      </section>
    </>
  )
}
