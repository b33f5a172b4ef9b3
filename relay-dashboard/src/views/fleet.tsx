/** What there is: zones and types, and every device with its newest reading. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

import { useAnswer } from '../answer.ts'
import { useNow } from '../clock.ts'
import { useDevices, type Device, type Order } from '../devices.ts'
import { dataOf } from '../failure.ts'
import { countOf, formatAgo, formatCount, formatNumber, formatTime, ownZone } from '../format.ts'
import { addressOf, changed, follow, go, usePlace, type Change } from '../location.ts'
import { EmptyNote, FailureNote, Skeleton } from '../notes.tsx'
import { parseSelection } from '../selection.ts'
import { Sparkline, useRecent } from '../sparklines.tsx'
import { numeric, Table } from '../table.tsx'

export const FLEET_PATH = '/'
const REFRESH_MS = 30_000
/** Nothing for so long, and a device is called silent. */
const SILENT_MS = 15 * 60_000
/** Up to here all devices are asked for, so that the silent ones can be first. */
const SORTED_MAX = 5_000
const TYPING_MS = 250

export function Fleet () {
  const { query } = usePlace()
  const { zone, type } = parseSelection(query)
  const groups = useAnswer(
    'groups',
    async (relay, signal) => {
      const [zones, types] = await Promise.all([
        relay.GET('/api/v1/zones', { signal }),
        relay.GET('/api/v1/types', { signal })
      ])
      return { zones: dataOf(zones), types: dataOf(types) }
    },
    REFRESH_MS
  )
  const change = (it: Change, how?: 'replace') => go(addressOf(FLEET_PATH, changed(query, it)), how)
  const nowMs = useNow()

  if (groups.data && groups.data.zones.zones.length === 0) {
    return (
      <>
        <h1>Fleet</h1>
        <EmptyNote title='No devices yet'>
          Nothing has been sent, or your token may see none of it. Send an event: <code>POST /api/v1/events</code>,
          as <a href='/docs'>the API's pages</a> show.
        </EmptyNote>
      </>
    )
  }
  const zones = groups.data?.zones.zones ?? []
  const types = groups.data?.types.types ?? []
  const total = zones.reduce((sum, it) => sum + it.devices, 0)
  return (
    <>
      <h1>Fleet</h1>
      {groups.failure && <FailureNote failure={groups.failure} again={groups.again} />}
      <div class='columns'>
        <section class='card' aria-labelledby='zones'>
          <h2 id='zones'>
            {groups.data ? countOf(zones.length, 'zone') : 'Zones'}
            {groups.data?.zones.next && ' and more'}
          </h2>
          {groups.data
            ? (
              <Groups
                nowMs={nowMs}
                kind='zone'
                chosen={zone}
                change={change}
                rows={zones.map(it => ({ ...it, name: it.zone, others: it.types }))}
                others='types'
              />
              )
            : (
              <Skeleton height='list' />
              )}
        </section>
        <section class='card' aria-labelledby='types'>
          <h2 id='types'>{groups.data ? countOf(types.length, 'device type') : 'Device types'}</h2>
          {groups.data
            ? (
              <Groups
                nowMs={nowMs}
                kind='type'
                chosen={type}
                change={change}
                rows={types.map(it => ({ ...it, name: it.type, others: it.zones }))}
                others='zones'
              />
              )
            : (
              <Skeleton height='list' />
              )}
        </section>
      </div>
      {groups.data
        ? (
          <Devices total={total} query={query} change={change} nowMs={nowMs} />
          )
        : (
          <Skeleton height='table' />
          )}
    </>
  )
}

interface GroupsProps {
  readonly kind: 'zone' | 'type'
  readonly chosen: readonly string[]
  readonly rows: readonly {
    readonly name: string
    readonly devices: number
    readonly lastSeen: string
    readonly others: readonly string[]
  }[]
  readonly others: string
  readonly nowMs: number
  readonly change: (change: Change) => void
}

const OTHERS_SHOWN = 3

function Groups ({ kind, chosen, rows, others, nowMs, change }: GroupsProps) {
  return (
    <Table label={`By ${kind}`} columns={[kind, numeric('devices'), 'last seen', others]} isShort>
      {rows.map(({ name, devices, lastSeen, others }) => {
        const isChosen = chosen.includes(name)
        return (
          <tr key={name}>
            <td>
              <button
                type='button'
                class='choose'
                aria-pressed={isChosen}
                title={isChosen ? 'Show all devices' : `Show the devices of ${name}`}
                onClick={() =>
                  change({ [kind]: isChosen ? chosen.filter(it => it !== name) : [...chosen, name] })}
              >
                {name}
              </button>
            </td>
            <td class='number'>{formatCount(devices)}</td>
            <td>
              <Ago time={lastSeen} nowMs={nowMs} />
            </td>
            <td>
              {others.slice(0, OTHERS_SHOWN).join(', ')}
              {others.length > OTHERS_SHOWN && ` and ${others.length - OTHERS_SHOWN} more`}
            </td>
          </tr>
        )
      })}
    </Table>
  )
}

/** When it was, and whether that is long ago: by a word and a sign, not by a colour alone. */
function Ago ({ time, nowMs }: { readonly time: string; readonly nowMs: number }) {
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

interface DevicesProps {
  readonly total: number
  readonly query: URLSearchParams
  readonly nowMs: number
  readonly change: (change: Change, how?: 'replace') => void
}

function Devices ({ total, query, nowMs, change }: DevicesProps) {
  const { zone, type } = parseSelection(query)
  const prefix = query.get('prefix') ?? ''
  const preset: Order = total <= SORTED_MAX ? 'silent' : 'id'
  const order: Order = query.get('order') === 'id' ? 'id' : query.get('order') === 'silent' ? 'silent' : preset
  const list = useDevices(
    {
      prefix,
      ...(zone.length === 0 ? {} : { zone: [...zone] }),
      ...(type.length === 0 ? {} : { type: [...type] })
    },
    order,
    total
  )
  const { devices, failure } = list
  return (
    <section class='card' aria-labelledby='devices'>
      <h2 id='devices'>Devices</h2>
      <div class='bar'>
        <PrefixField prefix={prefix} onChange={it => change({ prefix: it || undefined }, 'replace')} />
        <label class='field'>
          <span>Order</span>
          <select
            value={order}
            onChange={event =>
              change({ order: event.currentTarget.value === preset ? undefined : event.currentTarget.value })}
          >
            <option value='silent'>silent for longest first</option>
            <option value='id'>by id</option>
          </select>
        </label>
        {[...zone, ...type].length > 0 && (
          <p class='chosen'>
            only {[...zone, ...type].join(', ')}{' '}
            <button type='button' onClick={() => change({ zone: undefined, type: undefined })}>
              Show all
            </button>
          </p>
        )}
        <output class='hint'>
          {list.isLoading
            ? `loading … ${formatCount(devices.length)} so far`
            : `${countOf(devices.length, 'device')}${list.hasMore ? ' so far, more as you scroll' : ''}`}
        </output>
      </div>
      {failure && <FailureNote failure={failure} />}
      {devices.length === 0 && !list.isLoading && !failure
        ? (
          <EmptyNote title='No such device'>
            No device begins with “{prefix}” in what is chosen. Upper and lower case differ.
          </EmptyNote>
          )
        : (
          <DeviceRows devices={devices} nowMs={nowMs} onEnd={() => list.more()} />
          )}
    </section>
  )
}

function PrefixField ({
  prefix,
  onChange
}: {
  readonly prefix: string
  readonly onChange: (prefix: string) => void
}) {
  const [text, setText] = useState(prefix)
  useEffect(() => setText(prefix), [prefix])
  useEffect(() => {
    if (text === prefix) return
    const timer = setTimeout(() => onChange(text), TYPING_MS)
    return () => clearTimeout(timer)
  }, [text])
  return (
    <label class='field'>
      <span>Id begins with</span>
      <input
        type='search'
        value={text}
        spellcheck={false}
        autocomplete='off'
        onInput={event => setText(event.currentTarget.value)}
      />
    </label>
  )
}

const ROW_PX = 40
/** Rows beyond what is seen, so that a quick scroll is not blank. */
const ROWS_BEYOND = 6
const columns = ['Device', 'Zone', 'Type', 'Last value', 'Last seen', 'Last hour']

/** Only rows in sight are in the document, however many there are. */
function DeviceRows ({
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
  /** the device at the top, and which of the list it was */
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
    // devices that came in above must not push away what somebody looks at
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
