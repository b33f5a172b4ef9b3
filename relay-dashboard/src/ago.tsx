import { formatAgo, formatTime, ownZone } from './format.ts'

/** Nothing for so long, and a device is called silent. */
const SILENT_MS = 15 * 60_000

/** When it was, and whether that is long ago: by a word and a sign, not by a colour alone. */
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
