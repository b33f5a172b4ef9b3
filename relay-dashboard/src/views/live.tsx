/** Readings as they are committed. */
import { useState } from 'preact/hooks'

import { Chart } from '../chart.tsx'
import { useNow } from '../clock.ts'
import { countOf, formatAgo, isZone, ownZone } from '../format.ts'
import { useLive, type Connection } from '../live-stream.ts'
import { addressOf, changed, go, usePlace, type Change } from '../location.ts'
import { EmptyNote, FailureNote, Skeleton } from '../notes.tsx'
import { parseSelection, selectionQuery } from '../selection.ts'
import { SelectionPicker } from '../selection-picker.tsx'
import type { GroupBy } from '../series.ts'

const PATH = '/live'
const TICK_MS = 1_000
const SHOWN_S = 5 * 60
/** Readings older than this at their arrival are shown as late. */
const BEHIND_MS = 15_000

const connectionTexts: Record<Connection, string> = {
  connecting: '○ Connecting …',
  live: '● Live',
  again: '◌ Connection lost; reconnecting, and resuming where it was'
}

export function LiveView () {
  const { query } = usePlace()
  const [isPaused, setIsPaused] = useState(false)
  const selection = parseSelection(query)
  const by = query.get('by') ?? 'type'
  const groupBy: GroupBy | undefined = by === 'device' || by === 'zone' || by === 'type' ? by : undefined
  const zone = isZone(query.get('tz') ?? '') ? query.get('tz')! : ownZone
  const live = useLive(selectionQuery(selection), groupBy, isPaused)
  const nowMs = Math.max(useNow(TICK_MS), live.newestMs ?? 0) // clocks of devices may be ahead
  const change = (it: Change) => go(addressOf(PATH, changed(query, it)))
  const end = nowMs / 1_000
  const isBehind = live.newestMs !== undefined && nowMs - live.newestMs > BEHIND_MS
  return (
    <>
      <h1>Live</h1>
      <section class='card controls' aria-label='What is shown'>
        <SelectionPicker selection={selection} onChange={(kind, names) => change({ [kind]: names })} />
        <fieldset class='how'>
          <legend>How</legend>
          <label class='field'>
            <span>A line for</span>
            <select value={by} onChange={event => change({ by: event.currentTarget.value })}>
              <option value='type'>each type</option>
              <option value='zone'>each zone</option>
              <option value='device'>each device</option>
              <option value='all'>all together</option>
            </select>
          </label>
          <button type='button' aria-pressed={isPaused} onClick={() => setIsPaused(!isPaused)}>
            {isPaused ? 'Resume' : 'Pause'}
          </button>
        </fieldset>
      </section>
      <section class='card' aria-label='Readings'>
        {live.failure && <FailureNote failure={live.failure} />}
        <p class='summary'>
          <output class={`connection ${isPaused ? 'paused' : live.connection}`}>
            {isPaused ? '‖ Paused' : connectionTexts[live.connection]}
          </output>
          {live.newestMs !== undefined && (
            <span class={isBehind ? 'silent' : undefined}>
              {isBehind && '⚠ behind: '}newest reading {formatAgo(live.newestMs, nowMs)}
            </span>
          )}
          <span>{countOf(live.messages, 'change')} so far</span>
          {live.reconnects > 0 && <span>reconnected {countOf(live.reconnects, 'time')}</span>}
          <span>the last reading of each line, times in {zone}</span>
        </p>
        {live.times.length > 0
          ? (
            <Chart
              label='Last readings, as they come'
              times={live.times}
              lines={live.lines}
              zone={zone}
              start={end - SHOWN_S}
              end={end}
            />
            )
          : live.connection === 'live'
            ? (
              <EmptyNote title='Nothing has come yet'>
                Readings show up as soon as devices send. Is the selection right, and does the fleet send?
              </EmptyNote>
              )
            : (
              <Skeleton height='chart' />
              )}
      </section>
    </>
  )
}
