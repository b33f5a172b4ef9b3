/** Sign-in with a token or an API key. */
import { useState } from 'preact/hooks'

import { dataOf, failureOf, Refused, type Failure } from '../failure.ts'
import { FailureNote } from '../notes.tsx'
import { goToProvider, provider } from '../provider.ts'
import { localToken, signIn, tryToken } from '../session.ts'

export function SignIn ({ why }: { why: string | undefined }) {
  const [token, setToken] = useState('')
  const [failure, setFailure] = useState<Failure>()
  const [isAsking, setIsAsking] = useState(false)

  async function submit (event: Event, wanted = token.trim()): Promise<void> {
    event.preventDefault()
    if (!/^[\x21-\x7e]+$/.test(wanted)) {
      return setFailure({
        title: 'No token',
        detail: 'A token has letters, digits and signs, and no blanks.',
        advice: 'Paste it as it was given to you.'
      })
    }
    setIsAsking(true)
    try {
      dataOf(await tryToken(wanted).GET('/api/v1/zones', { params: { query: { limit: 1 } } }))
      signIn(wanted)
    } catch (error) {
      setFailure(
        error instanceof Refused && error.status === 401
          ? {
              title: 'This token is not accepted',
              detail: error.message,
              advice:
                'Is it complete, not expired and not revoked? An administrator can make another: relay keys create.'
            }
          : failureOf(error)
      )
    } finally {
      setIsAsking(false)
    }
  }

  return (
    <section class='card narrow' aria-labelledby='sign-in'>
      <h1 id='sign-in'>Sign in</h1>
      {why && (
        <p class='note warn' role='alert'>
          You were signed out: {why}
        </p>
      )}
      {localToken !== '' && (
        <p>
          <button type='button' class='primary' onClick={event => submit(event, localToken)}>
            Sign in to the local stack
          </button>
        </p>
      )}
      {provider && (
        <p>
          <button
            type='button'
            class='primary'
            onClick={() => goToProvider(location.pathname + location.search).catch(error => setFailure({
              ...failureOf(error),
              title: 'The provider does not answer',
              advice: `Is ${provider?.issuer.host} up, and does it let this page ask it (CORS)? Or sign in by token.`
            }))}
          >
            Sign in at {provider.issuer.host}
          </button>
        </p>
      )}
      <form onSubmit={submit}>
        <label class='field'>
          <span>Token or API key</span>
          <input
            type='password'
            autocomplete='off'
            spellcheck={false}
            value={token}
            required
            onInput={event => setToken(event.currentTarget.value)}
          />
        </label>
        <p class='hint'>
          It needs the scope <code>events:read</code>. It stays in this tab until you close it.
        </p>
        <button type='submit' class='primary' disabled={isAsking}>
          {isAsking ? 'Signing in …' : 'Sign in'}
        </button>
      </form>
      {failure && <FailureNote failure={failure} />}
    </section>
  )
}
