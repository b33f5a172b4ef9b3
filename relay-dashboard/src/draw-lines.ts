/**
 * Draws the lines of a chart. On a machine without a graphics card most of a frame is the work of the rasteriser:
 *
 *     up to a point per pixel     a polyline, and a polygon for its band
 *     more                        a bar per column of pixels (columns.ts): nothing is left out that could be seen, and bars that lie on
 *                                 pixels need no smoothing
 *
 * uPlot draws axes and points, and has the scales. For a band it would clip one path by another, which costs most of
 * all.
 */
import type Plot from 'uplot'

import {
  axisOf, columnsOf, eachBar, firstAtOrAfter, numbersOf, placeOn, type Axis, type Columns, type Numbers, type Values
} from './columns.ts'

export interface DrawnLine {
  readonly values: Values
  readonly low?: Values | undefined
  readonly high?: Values | undefined
  readonly color: string
  readonly bandColor: string
  /** in CSS pixels */
  readonly width: number
  readonly dash: readonly number[] | undefined
}

export function drawLines (plot: Plot, lines: readonly DrawnLine[]): void {
  const { ctx, bbox: { left, top, width, height }, data: [times], scales: { x: scaleX, y: scaleY } } = plot
  if (scaleX.min == null || scaleX.max == null || scaleY.min == null || scaleY.max == null) return
  const x = axisOf(left, width, scaleX.min, scaleX.max)
  const y = axisOf(top + height, -height, scaleY.min, scaleY.max)
  const first = firstAtOrAfter(times, scaleX.min)
  const end = firstAtOrAfter(times, scaleX.max, first)
  ctx.save()
  ctx.beginPath()
  ctx.rect(left, top, width, height)
  ctx.clip()
  const columns = end - first > width ? columnsOf(times, first, end, x) : undefined
  for (const line of lines) {
    if (columns) drawColumns(ctx, columns, line, y)
    // with its neighbours outside of the chart, because lines lead there
    else drawCurve(ctx, times, Math.max(0, first - 1), Math.min(times.length, end + 1), line, x, y)
  }
  ctx.restore()
}

function drawColumns (ctx: CanvasRenderingContext2D, columns: Columns, line: DrawnLine, y: Axis): void {
  if (line.low) {
    ctx.fillStyle = line.bandColor
    eachBar(
      columns,
      numbersOf(line.low),
      numbersOf(line.high!),
      y,
      0,
      (left, top, height) => ctx.fillRect(left, top, 1, height)
    )
  }
  const values = numbersOf(line.values)
  const [on, off] = line.dash ?? [1, 0]
  ctx.fillStyle = line.color
  eachBar(columns, values, values, y, line.width * devicePixelRatio, (left, top, height) => {
    if (left % (on + off) < on) ctx.fillRect(left, top, 1, height)
  })
}

function drawCurve (
  ctx: CanvasRenderingContext2D, times: ArrayLike<number>, first: number, end: number, line: DrawnLine, x: Axis, y: Axis
): void {
  if (line.low) {
    ctx.fillStyle = line.bandColor
    ctx.beginPath()
    for (const [from, to] of stretchesOf(line.low, first, end)) {
      trace(ctx, times, numbersOf(line.high!), from, to, 1, x, y)
      trace(ctx, times, numbersOf(line.low), to - 1, from - 1, -1, x, y)
      ctx.closePath()
    }
    ctx.fill()
  }
  const values = numbersOf(line.values)
  ctx.strokeStyle = line.color
  ctx.lineWidth = line.width * devicePixelRatio
  ctx.lineJoin = 'bevel'
  ctx.setLineDash(line.dash?.map(it => it * devicePixelRatio) ?? [])
  ctx.beginPath()
  for (const [from, to] of stretchesOf(line.values, first, end)) {
    trace(ctx, times, values, from, to, 1, x, y)
    // a point between two gaps is a dot
    if (to - from === 1) ctx.lineTo(placeOn(x, times[from]) + ctx.lineWidth, placeOn(y, values[from]))
  }
  ctx.stroke()
}

/**
 * Adds points to a path: to the right they begin a part of it, to the left they go on. NaN is none: another line has a
 * value there.
 */
function trace (
  ctx: CanvasRenderingContext2D, times: ArrayLike<number>, values: Numbers, from: number, to: number, step: 1 | -1,
  x: Axis, y: Axis
): void {
  let isFirst = step === 1
  for (let at = from; at !== to; at += step) {
    if (Number.isNaN(values[at])) continue
    const [left, top] = [placeOn(x, times[at]), placeOn(y, values[at])]
    if (isFirst) ctx.moveTo(left, top)
    else ctx.lineTo(left, top)
    isFirst = false
  }
}

/** Stretches without a gap: null is one, undefined is not. */
function * stretchesOf (values: Values, first: number, end: number): Generator<[from: number, to: number]> {
  let from = first
  for (let at = first; at < end; at++) {
    if (values[at] !== null) continue
    if (at > from) yield [from, at]
    from = at + 1
  }
  if (end > from) yield [from, end]
}
