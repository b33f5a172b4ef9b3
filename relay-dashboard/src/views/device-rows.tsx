import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

import { Ago } from '../ago.tsx'
import type { Device } from '../devices.ts'
import { formatNumber } from '../format.ts'
import { addressOf, follow } from '../location.ts'
import { Sparkline, useRecent } from '../sparklines.tsx'

const ROW_PX = 40
/** Rows beyond the visible ones, so that a quick scroll is not blank. */
const ROWS_BEYOND = 6
const columns = ['Device', 'Zone', 'Type', 'Last value', 'Last seen', 'Last hour']

/** The list of devices. Only visible rows are in the document, for any number of devices. */
export function DeviceRows ({
  devices,
  nowMs,
  onEnd
}: {
  readonly devices: readonly Device[]
  readonly nowMs: number
  readonly onEnd: () => void
}) {
  const scroller = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ first: 0, count: 20 })
  /** the topmost visible device, and its index in the list */
  const top = useRef({ device: '', place: 0 })
  const look = () => {
    if (!scroller.current) return // the view has gone
    const { scrollTop, clientHeight } = scroller.current
    const place = Math.floor(scrollTop / ROW_PX)
    top.current = { device: devices[place]?.device ?? '', place }
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - 1 - ROWS_BEYOND)
    const count = Math.ceil(clientHeight / ROW_PX) + 2 * ROWS_BEYOND
    setView(it => (it.first === first && it.count === count ? it : { first, count }))
    if (first + count >= devices.length) onEnd()
  }
  useLayoutEffect(() => {
    // devices that were added above must not move the visible ones
    const { device, place } = top.current
    const moved = place === 0 || devices[place]?.device === device ? -1 : devices.findIndex(it => it.device === device)
    if (moved !== -1) scroller.current!.scrollTop += (moved - place) * ROW_PX
  }, [devices])
  useEffect(() => {
    const observer = new ResizeObserver(look)
    observer.observe(scroller.current!)
    return () => observer.disconnect()
  }, [devices])
  const shown = devices.slice(view.first, view.first + view.count)
  const recent = useRecent(shown.map(it => it.device))
  return (
    <div ref={scroller} class='rows' tabIndex={0} role='region' aria-label='Devices, a row each' onScroll={look}>
      <div role='table' aria-label='Devices' aria-rowcount={devices.length + 1}>
        <div role='row' class='row head' aria-rowindex={1}>
          {columns.map(it => (
            <span key={it} role='columnheader'>
              {it}
            </span>
          ))}
        </div>
        <div role='rowgroup' class='space' style={{ height: `${devices.length * ROW_PX}px` }}>
          {shown.map((listed, place) => {
            const it = recent.get(listed.device)?.newest ?? listed // the list is as old as this view
            return (
              <div
                key={it.device}
                role='row'
                class='row'
                aria-rowindex={view.first + place + 2}
                style={{ transform: `translateY(${(view.first + place) * ROW_PX}px)` }}
              >
                <span role='cell'>
                  <a href={addressOf('/device', new URLSearchParams({ id: it.device }))} onClick={follow}>
                    {it.device}
                  </a>
                </span>
                <span role='cell'>{it.zone}</span>
                <span role='cell'>{it.type}</span>
                <span role='cell' class='number'>
                  {formatNumber(it.lastValue)}
                </span>
                <span role='cell'>
                  <Ago time={it.lastSeen} nowMs={nowMs} />
                </span>
                <span role='cell'>
                  <Sparkline values={recent.get(it.device)?.values} />
                </span>
              </div>
            )
          })}
        </div>
      </div>
    </div>
  )
}
