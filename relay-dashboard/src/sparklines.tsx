/** The last hour of devices that are in sight, in one question. */
import { useEffect, useRef, useState } from 'preact/hooks'

import { useAnswer } from './answer.ts'
import { dataOf } from './failure.ts'

const INTERVAL = '2m'
/** Whoever scrolls on does not ask for what he passes. */
const REST_MS = 150
const REFRESH_MS = 60_000
const WIDTH = 120
const HEIGHT = 26

/** @returns values of two minutes each, by device; what is not there yet has none */
export function useSparklines (devices: readonly string[]): ReadonlyMap<string, readonly (number | null)[]> {
  const wanted = devices.join('\n')
  const [asked, setAsked] = useState(wanted)
  const kept = useRef(new Map<string, readonly (number | null)[]>())
  useEffect(() => {
    const timer = setTimeout(() => setAsked(wanted), REST_MS)
    return () => clearTimeout(timer)
  }, [wanted])
  const { data } = useAnswer(
    asked === '' ? undefined : asked,
    async (relay, signal) => {
      const query = {
        device: asked.split('\n'),
        start: '-1h',
        interval: INTERVAL,
        stats: 'avg',
        groupBy: 'device' as const,
        fill: 'null' as const
      }
      const { rows } = dataOf(await relay.GET('/api/v1/aggregates', { params: { query }, signal }))
      return Map.groupBy(rows, it => it.device!)
    },
    REFRESH_MS
  )
  useEffect(() => {
    kept.current = new Map([...kept.current].slice(-500))
  }, [asked])
  for (const [device, rows] of data ?? []) {
    kept.current.set(
      device,
      rows.map(it => it.avg ?? null)
    )
  }
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
