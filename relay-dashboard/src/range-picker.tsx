/** Picks a range: one that ends now, or two times on the clock of the zone. */
import { useState } from 'preact/hooks'

import { fromLocalField, isZone, ownZone, toLocalField } from './format.ts'
import type { Change } from './location.ts'
import { customChange, moved, presets, timesOf, type Range } from './range.ts'

interface RangePickerProps {
  readonly range: Range
  readonly zone: string
  readonly onChange: (change: Change) => void
}

export function RangePicker ({ range, zone, onChange }: RangePickerProps) {
  const { startMs, endMs } = timesOf(range, Date.now())
  const move = (byShare: number, zoom?: number) => {
    const next = moved(startMs, endMs, byShare, zoom)
    onChange(customChange(next.startMs, next.endMs))
  }
  return (
    <fieldset class='ranges'>
      <legend>When</legend>
      <div class='segments'>
        {presets.map(({ name, label }) => (
          <button
            key={name}
            type='button'
            aria-pressed={range.kind === 'preset' && range.preset.name === name}
            title={`The last ${label}`}
            onClick={() => onChange({ range: name, start: undefined, end: undefined })}
          >
            {name === '365d' ? '1y' : name}
          </button>
        ))}
      </div>
      <div class='segments'>
        <button type='button' aria-label='Earlier' title='Earlier' onClick={() => move(-0.5)}>
          ←
        </button>
        <button type='button' aria-label='Later' title='Later' onClick={() => move(0.5)}>
          →
        </button>
        <button type='button' aria-label='Zoom in' title='Zoom in' onClick={() => move(0, 0.5)}>
          +
        </button>
        <button type='button' aria-label='Zoom out' title='Zoom out' onClick={() => move(0, 2)}>
          −
        </button>
      </div>
      <CustomRange
        key={`${range.kind === 'custom' ? `${startMs} ${endMs}` : range.preset.name} ${zone}`}
        {...{ startMs, endMs, zone, onChange }}
      />
      <ZonePicker zone={zone} onChange={tz => onChange({ tz })} />
    </fieldset>
  )
}

function CustomRange ({
  startMs,
  endMs,
  zone,
  onChange
}: {
  readonly startMs: number
  readonly endMs: number
  readonly zone: string
  readonly onChange: (change: Change) => void
}) {
  const [from, setFrom] = useState(() => toLocalField(startMs, zone))
  const [to, setTo] = useState(() => toLocalField(endMs, zone))
  const fromMs = fromLocalField(from, zone)
  const toMs = fromLocalField(to, zone)
  const isGood = fromMs < toMs
  return (
    <form
      class='custom'
      onSubmit={event => {
        event.preventDefault()
        if (isGood) onChange(customChange(fromMs, toMs))
      }}
    >
      <label>
        From{' '}
        <input type='datetime-local' step='1' value={from} onInput={event => setFrom(event.currentTarget.value)} />
      </label>
      <label>
        to <input type='datetime-local' step='1' value={to} onInput={event => setTo(event.currentTarget.value)} />
      </label>
      <button type='submit' disabled={!isGood} title={isGood ? undefined : 'The end has to be after the start'}>
        Show
      </button>
    </form>
  )
}

const zones = Intl.supportedValuesOf('timeZone')

function ZonePicker ({
  zone,
  onChange
}: {
  readonly zone: string
  readonly onChange: (zone: string | undefined) => void
}) {
  const [isWrong, setIsWrong] = useState(false)
  return (
    <label class='zone'>
      Time zone{' '}
      <input
        key={zone}
        list='time-zones'
        defaultValue={zone}
        aria-invalid={isWrong}
        spellcheck={false}
        autocomplete='off'
        onChange={event => {
          const name = event.currentTarget.value.trim() || ownZone
          setIsWrong(!isZone(name))
          if (isZone(name)) onChange(name === ownZone ? undefined : name)
        }}
      />
      <datalist id='time-zones'>
        {['UTC', ...zones].map(it => (
          <option key={it} value={it} />
        ))}
      </datalist>
      {isWrong && (
        <span class='hint' role='alert'>
          no zone, such as Europe/Berlin
        </span>
      )}
    </label>
  )
}
