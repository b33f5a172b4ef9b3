/** The current time, for views that show ages. */
import { useEffect, useState } from 'preact/hooks'

import { TICK_MS } from './format.ts'

export function useNow (tickMs = TICK_MS): number {
  const [nowMs, setNowMs] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), tickMs)
    return () => clearInterval(timer)
  }, [])
  return nowMs
}
