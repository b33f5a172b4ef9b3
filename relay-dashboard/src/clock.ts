/** The current time, for views that show ages. */
import { useEffect, useState } from 'preact/hooks'

const TICK_MS = 5_000

export function useNow (tickMs = TICK_MS): number {
  const [nowMs, setNowMs] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), tickMs)
    return () => clearInterval(timer)
  }, [])
  return nowMs
}
