/** The fleet: zones, types, and every device with its newest reading. */
import { useEffect, useState } from 'preact/hooks'

import { Ago } from '../ago.tsx'
import { useAnswer } from '../answer.ts'
import { useNow } from '../clock.ts'
import { useDevices, type Order } from '../devices.ts'
import { dataOf } from '../failure.ts'
import { countOf, formatCount } from '../format.ts'
import { addressOf, changed, go, usePlace, type Change } from '../location.ts'
import { EmptyNote, FailureNote, Skeleton } from '../notes.tsx'
import { parseSelection } from '../selection.ts'
import { numeric, Table } from '../table.tsx'
import { DeviceRows } from './device-rows.tsx'

export const FLEET_PATH = '/'
const REFRESH_MS = 30_000
/** Up to this number all devices are read, so that silent ones can be first. */
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
