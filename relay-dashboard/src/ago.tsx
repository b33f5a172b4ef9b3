import { formatAgo, formatTime, ownZone } from './format.ts'

/** A device is silent after this time without a reading. */
const SILENT_MS = 15 * 60_000

/** The age of a reading. Silence is marked by a word and a sign, not by a colour alone. */
export function Ago ({ time, nowMs }: { readonly time: string; readonly nowMs: number }) {
  const timeMs = Date.parse(time)
  const isSilent = nowMs - timeMs > SILENT_MS
  return (
    <time dateTime={time} title={formatTime(time, ownZone, 'zone')} class={isSilent ? 'silent' : undefined}>
      {isSilent && '⚠ '}
      {formatAgo(timeMs, nowMs)}
      {isSilent && ', silent'}
    </time>
  )
}
