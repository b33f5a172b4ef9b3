/** The page to which the OpenID provider returns. */
import { useEffect, useState } from 'preact/hooks'

import { failureOf, type Failure } from '../failure.ts'
import { go } from '../location.ts'
import { FailureNote, Skeleton } from '../notes.tsx'
import { comeBack } from '../provider.ts'
import { signInByProvider } from '../session.ts'

export function Callback () {
  const [failure, setFailure] = useState<Failure>()
  useEffect(() => {
    comeBack().then(back => {
      signInByProvider()
      go(back, 'replace') // removes the code from the address and the browser history
    }, error => setFailure({ ...failureOf(error), title: 'You are not signed in', advice: 'Sign in once more.' }))
  }, [])
  return (
    <section class='card narrow'>
      <h1>Signing in</h1>
      {failure ? <FailureNote failure={failure} again={() => go('/')} /> : <Skeleton height='list' />}
    </section>
  )
}
