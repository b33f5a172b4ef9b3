/** Lines over time: uPlot, with a brush, zoom by wheel, and marks for incomplete and revised data. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import Plot, { type AlignedData, type Axis, type Options, type Series } from 'uplot'
import 'uplot/dist/uPlot.min.css'

import { extentOf } from './columns.ts'
import { drawLines, type DrawnLine } from './draw-lines.ts'
import { dateNames, dayOfAxis, formatNumber, formatTime } from './format.ts'
import { isDark, onSchemeChange, strokeOf, translucent } from './palette.ts'
import type { ChartLine } from './series.ts'

export interface ChartProps {
  /** name for screen readers */
  readonly label: string
  readonly times: readonly number[]
  readonly lines: readonly ChartLine[]
  readonly zone: string
  /** the queried range, s; data may cover a part of it */
  readonly start: number
  readonly end: number
  /** no more readings are expected up to this time, s; null: unknown */
  readonly completeThrough?: number | null
  /** buckets that late readings changed, s */
  readonly revised?: ReadonlySet<number>
  readonly height?: number
  readonly onRange?: (startMs: number, endMs: number) => void
  /** called with its width, to choose an interval */
  readonly onWidth?: (width: number) => void
}

const HEIGHT = 320
/** A zoom ends after this time without a turn of the wheel. */
const WHEEL_REST_MS = 350
const BAND_ALPHA = 0x2e

export function Chart (props: ChartProps) {
  const holder = useRef<HTMLDivElement>(null)
  const plot = useRef<Plot | undefined>(undefined)
  const [scheme, setScheme] = useState(isDark)
  const [hovered, setHovered] = useState<number | null>(null)
  const latest = useRef(props)
  latest.current = props
  const shape = JSON.stringify([
    props.lines.map(it => [it.name, it.of]),
    props.zone,
    scheme,
    props.height
  ])

  useEffect(() => onSchemeChange(() => setScheme(isDark())), [])

  useLayoutEffect(() => {
    const width = holder.current!.clientWidth
    const made = new Plot(optionsOf(latest, width, setHovered), dataOf(props), holder.current!)
    plot.current = made
    made.setScale('x', { min: props.start, max: props.end })
    zoomByWheel(made, latest)
    return () => made.destroy()
  }, [shape])

  useLayoutEffect(() => {
    const { current } = plot
    if (!current) return
    current.batch(() => {
      current.setData(dataOf(props), false)
      current.setScale('x', { min: props.start, max: props.end })
    })
  }, [props.times, props.lines, props.start, props.end, props.completeThrough])

  useLayoutEffect(() => {
    const observer = new ResizeObserver(
      ([
        {
          contentRect: { width }
        }
      ]) => {
        latest.current.onWidth?.(width)
        if (plot.current?.width !== width) plot.current?.setSize({ width, height: latest.current.height ?? HEIGHT })
      }
    )
    observer.observe(holder.current!)
    return () => observer.disconnect()
  }, [])

  const place = hovered ?? props.times.length - 1
  return (
    <figure class='chart' aria-label={props.label}>
      <p class='readout'>
        {place >= 0 && place < props.times.length && (
          <>
            <span class='time'>{formatTime(props.times[place] * 1_000, props.zone, 'second')}</span>
            {props.lines.map((line, index) => (
              <span key={line.name} class='value'>
                <Swatch line={line} index={index} /> {line.name}{' '}
                <b>{formatNumber(hovered === null ? lastOf(line.values) : line.values[place])}</b>
                {line.low && line.low[place] !== null && (
                  <small>
                    {' '}
                    ({formatNumber(line.low[place])} to {formatNumber(line.high![place])})
                  </small>
                )}
              </span>
            ))}
          </>
        )}
      </p>
      <div ref={holder} class='plot' style={{ height: `${props.height ?? HEIGHT}px` }} />
    </figure>
  )
}

export function Swatch ({ line, index }: { readonly line: ChartLine; readonly index: number }) {
  const { color, dash } = strokeOf(line.of ?? index, line.of !== undefined)
  return (
    <svg class='swatch' width='18' height='8' aria-hidden='true'>
      <line x1='0' y1='4' x2='18' y2='4' stroke={color} stroke-width='3' stroke-dasharray={dash?.join(' ')} />
    </svg>
  )
}

/** Lines may end at different times. */
const lastOf = (values: readonly (number | null)[]) => values.findLast(it => typeof it === 'number')

function dataOf ({ times, lines }: ChartProps): AlignedData {
  return [times, ...lines.map(it => it.values)] as unknown as AlignedData
}

type Latest = { readonly current: ChartProps }

function optionsOf (latest: Latest, width: number, onHover: (place: number | null) => void): Options {
  const { lines, zone, height = HEIGHT } = latest.current
  const styles = lines.map(({ of }, index) => {
    const { color, dash } = strokeOf(of ?? index, of !== undefined)
    return { color, dash, bandColor: translucent(color, BAND_ALPHA), width: of === undefined ? 2 : 1.5 }
  })
  const drawn = (): DrawnLine[] => latest.current.lines.map((line, index) => ({ ...styles[index], ...line }))
  // drawn by draw-lines.ts; uPlot draws their points and finds the one under the pointer
  const series = styles.map(
    ({ color }): Series => ({ stroke: color, width: 2, auto: false, paths: () => null, points: { size: 5 } })
  )
  const ink = getComputedStyle(document.documentElement)
  const [muted, line, hatch, revised] = ['--muted', '--line', '--hatch', '--revised'].map(
    it => ink.getPropertyValue(it)
  )
  const axis = {
    stroke: muted,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
    font: '12px system-ui, sans-serif'
  }
  return {
    width,
    height,
    series: [{}, ...series],
    tzDate: time => Plot.tzDate(new Date(time * 1_000), zone),
    fmtDate: template => Plot.fmtDate(template, dateNames),
    legend: { show: false },
    scales: { x: { time: true }, y: { range: plot => rangeOf(plot, latest) } },
    axes: [
      { ...axis, space: 76, values: clockValues },
      { ...axis, size: 64, values: (_, splits) => splits.map(formatNumber) }
    ],
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
    hooks: {
      drawClear: [plot => shadeUnfinished(plot, latest, hatch)],
      drawAxes: [plot => drawLines(plot, drawn())],
      draw: [plot => markRevised(plot, latest, revised)],
      setCursor: [plot => onHover(plot.cursor.idx ?? null)],
      setSelect: [
        plot => {
          const { left, width: selected } = plot.select
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false)
          if (selected < 3) return
          latest.current.onRange?.(plot.posToVal(left, 'x') * 1_000, plot.posToVal(left + selected, 'x') * 1_000)
        }
      ]
    }
  }
}

/** The margin above and below the visible values, as uPlot has it. */
const RANGE_PADDING = 0.1

function rangeOf (plot: Plot, { current: { lines } }: Latest): Plot.Range.MinMax {
  const [first, last] = plot.series[0].idxs ?? []
  if (typeof first !== 'number' || typeof last !== 'number') return [null, null]
  const values = lines.flatMap(({ values, low, high }) => [values, ...(low ? [low, high!] : [])])
  const extent = extentOf(values, first, last + 1)
  return extent ? Plot.rangeNum(...extent, RANGE_PADDING, true) : [null, null]
}

/** 24-hour clocks in any locale; names of months, and whether they come before days, by locale. */
const clockValues = [
  [31_536_000, '{YYYY}', null, null, null, null, null, null, 1],
  [2_419_200, '{MMM}', '\n{YYYY}', null, null, null, null, null, 1],
  [86_400, dayOfAxis, '\n{YYYY}', null, null, null, null, null, 1],
  [60, '{HH}:{mm}', `\n${dayOfAxis} {YYYY}`, null, `\n${dayOfAxis}`, null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', `\n${dayOfAxis} {YYYY}`, null, `\n${dayOfAxis}`, null, null, null, 1]
] as unknown as Axis.Values

/** Hatches incomplete time: its readings may still arrive. */
function shadeUnfinished (plot: Plot, { current: { completeThrough, end } }: Latest, color: string): void {
  if (completeThrough === undefined || completeThrough === null || completeThrough >= end) return
  const {
    ctx,
    bbox: { left, top, width, height }
  } = plot
  const from = Math.max(left, plot.valToPos(completeThrough, 'x', true))
  if (from >= left + width) return
  ctx.save()
  ctx.beginPath()
  ctx.rect(from, top, left + width - from, height)
  ctx.clip()
  ctx.strokeStyle = color
  ctx.lineWidth = devicePixelRatio
  ctx.beginPath()
  for (let x = from - height; x < left + width; x += 9 * devicePixelRatio) {
    ctx.moveTo(x, top + height)
    ctx.lineTo(x + height, top)
  }
  ctx.stroke()
  ctx.restore()
}

const none: ReadonlySet<number> = new Set()

/** A bar on the axis for buckets that late readings changed; adjacent ones share a bar. */
function markRevised (plot: Plot, { current: { revised = none, times } }: Latest, color: string): void {
  const [first, last] = plot.series[0].idxs ?? []
  if (revised.size === 0 || typeof first !== 'number' || typeof last !== 'number') return
  const {
    ctx,
    bbox: { left, top, width, height }
  } = plot
  const thick = 4 * devicePixelRatio
  ctx.save()
  ctx.fillStyle = color
  const mark = (start: number, end: number) => {
    const from = Math.max(left, plot.valToPos(times[start], 'x', true))
    const to = Math.min(left + width, plot.valToPos(times[end] ?? times[end - 1], 'x', true))
    if (to > left && from < left + width) ctx.fillRect(from, top + height - thick, Math.max(to - from, 1), thick)
  }
  let start: number | undefined
  for (let at = Math.max(0, first - 1); at <= last; at++) { // the first visible one may have begun earlier
    const isRevised = revised.has(times[at])
    if (isRevised) start ??= at
    else if (start !== undefined) {
      mark(start, at)
      start = undefined
    }
  }
  if (start !== undefined) mark(start, last + 1)
  ctx.restore()
}

/** Zooms around the pointer by Ctrl and the wheel; the query follows when the wheel stops. */
function zoomByWheel (plot: Plot, latest: Latest): void {
  let resting: ReturnType<typeof setTimeout> | undefined
  plot.over.addEventListener(
    'wheel',
    event => {
      if (!event.ctrlKey && !event.metaKey) return
      event.preventDefault()
      const { min, max } = plot.scales.x
      const at = plot.posToVal(event.offsetX, 'x')
      const zoom = event.deltaY < 0 ? 0.8 : 1.25
      const next = { min: at - (at - min!) * zoom, max: at + (max! - at) * zoom }
      plot.setScale('x', next)
      clearTimeout(resting)
      resting = setTimeout(() => latest.current.onRange?.(next.min * 1_000, next.max * 1_000), WHEEL_REST_MS)
    },
    { passive: false }
  )
}
