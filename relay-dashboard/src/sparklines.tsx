/** The newest readings and the last hour of the visible devices. */
import { useEffect, useRef, useState } from 'preact/hooks'

import { useAnswer } from './answer.ts'
import type { Device } from './devices.ts'
import { dataOf } from './failure.ts'

const INTERVAL = '2m'
/** Delay of a request, so that quick scrolling does not request every device. */
const REST_MS = 150
const REFRESH_MS = 30_000
/** Devices kept in memory, so that scrolling back shows them at once. */
const KEPT_MAX = 500
const WIDTH = 120
const HEIGHT = 26

export interface Recent {
  readonly newest: Device | undefined
  /** averages of two minutes each */
  readonly values: readonly (number | null)[]
}

/** @param ids of visible devices @returns by id, as far as read */
export function useRecent (ids: readonly string[]): ReadonlyMap<string, Recent> {
  const wanted = ids.join('\n')
  const [asked, setAsked] = useState(wanted)
  const kept = useRef(new Map<string, Recent>())
  useEffect(() => {
    const timer = setTimeout(() => setAsked(wanted), REST_MS)
    return () => clearTimeout(timer)
  }, [wanted])
  const { data } = useAnswer(asked === '' ? undefined : asked, async (relay, signal) => {
    const device = asked.split('\n')
    const hour = {
      device, start: '-1h', interval: INTERVAL, stats: 'avg', groupBy: 'device' as const, fill: 'null' as const
    }
    const [aggregates, devices] = await Promise.all([
      relay.GET('/api/v1/aggregates', { params: { query: hour }, signal }),
      relay.GET('/api/v1/devices', { params: { query: { device, limit: device.length } }, signal })
    ])
    const rows = Map.groupBy(dataOf(aggregates).rows, it => it.device!)
    return dataOf(devices).devices.map(newest => {
      const values = rows.get(newest.device)?.map(it => it.avg ?? null) ?? []
      return { newest, values }
    })
  }, REFRESH_MS)
  useEffect(() => {
    kept.current = new Map([...kept.current].slice(-KEPT_MAX))
  }, [asked])
  for (const it of data ?? []) kept.current.set(it.newest.device, it)
  return kept.current
}

export function Sparkline ({ values }: { readonly values: readonly (number | null)[] | undefined }) {
  const known = values?.filter(it => it !== null) ?? []
  if (values === undefined || known.length === 0) {
    return <svg class='sparkline' width={WIDTH} height={HEIGHT} aria-hidden='true' />
  }
  const low = Math.min(...known)
  const span = Math.max(...known) - low || 1
  const points = values.map((value, place) => {
    if (value === null) return null
    const x = 2 + (place / Math.max(1, values.length - 1)) * (WIDTH - 4)
    const y = HEIGHT - 3 - ((value - low) / span) * (HEIGHT - 6)
    return `${x.toFixed(1)},${y.toFixed(1)}`
  })
  return (
    <svg class='sparkline' width={WIDTH} height={HEIGHT} aria-hidden='true'>
      <path d={pathOf(points)} />
    </svg>
  )
}

/** Gaps stay gaps. */
function pathOf (points: readonly (string | null)[]): string {
  return points
    .map((point, place) => {
      if (point === null) return ''
      const isAlone = (points[place - 1] ?? null) === null && (points[place + 1] ?? null) === null
      return `${(points[place - 1] ?? null) === null ? 'M' : 'L'}${point}${isAlone ? 'h.1' : ''}`
    })
    .join('')
}
