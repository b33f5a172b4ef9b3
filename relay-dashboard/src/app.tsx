/** The frame of all views: navigation, sign-in, and the current view. */
import { follow, usePlace } from './location.ts'
import { CALLBACK_PATH, provider } from './provider.ts'
import { signOut, useSession, type Session } from './session.ts'
import { Callback } from './views/callback.tsx'
import { DeviceView } from './views/device.tsx'
import { Explore } from './views/explore.tsx'
import { Fleet, FLEET_PATH } from './views/fleet.tsx'
import { LiveView } from './views/live.tsx'
import { Operations } from './views/operations.tsx'
import { SignIn } from './views/sign-in.tsx'

const views = [
  { path: FLEET_PATH, label: 'Fleet', View: Fleet, isInMenu: true },
  { path: '/explore', label: 'Explore', View: Explore, isInMenu: true },
  { path: '/live', label: 'Live', View: LiveView, isInMenu: true },
  { path: '/device', label: 'Device', View: DeviceView, isInMenu: false },
  { path: '/operations', label: 'Operations', View: Operations, isInMenu: true }
]

export function App () {
  const { path } = usePlace()
  const { session, endedBecause } = useSession()
  const { label, View } = views.find(it => it.path === path) ?? views[0]
  document.title = `${session ? label : 'Sign in'} · Relay`
  return (
    <>
      <a class='skip' href='#main'>
        To the content
      </a>
      <header class='top'>
        <span class='brand'>
          <span class='mark' aria-hidden='true' />
          Relay
        </span>
        {session && (
          <>
            <nav aria-label='Views'>
              {views
                .filter(it => it.isInMenu)
                .map(it => (
                  <a
                    key={it.path}
                    href={it.path}
                    onClick={follow}
                    aria-current={it.View === View ? 'page' : undefined}
                  >
                    {it.label}
                  </a>
                ))}
              <a href='/docs'>API</a>
            </nav>
            <span class='who'>
              {sourceOf(session)}
              <button type='button' class='plain' onClick={() => signOut()}>
                Sign out
              </button>
            </span>
          </>
        )}
      </header>
      <main id='main' tabIndex={-1}>
        {path === CALLBACK_PATH
          ? <Callback />
          : session ? <View key={session.token} /> : <SignIn why={endedBecause} />}
      </main>
    </>
  )
}

function sourceOf ({ isLocal, isOfProvider }: Session): string {
  if (isOfProvider) return `Signed in at ${provider?.issuer.host}`
  return isLocal ? 'Signed in by itself: local stack' : 'Signed in by token'
}
