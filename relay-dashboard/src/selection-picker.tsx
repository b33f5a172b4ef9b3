/** Picks devices, zones and types by name, with suggestions. */
import { useEffect, useId, useRef, useState } from 'preact/hooks'

import { useAnswer } from './answer.ts'
import { dataOf } from './failure.ts'
import { kindLabels, kinds, type Kind, type Selection } from './selection.ts'

interface PickerProps {
  readonly selection: Selection
  readonly onChange: (kind: Kind, names: string[]) => void
}

export function SelectionPicker ({ selection, onChange }: PickerProps) {
  return (
    <fieldset class='pickers'>
      <legend>What</legend>
      {kinds.map(kind => (
        <NamePicker key={kind} kind={kind} names={selection[kind]} onChange={names => onChange(kind, names)} />
      ))}
    </fieldset>
  )
}

const SUGGESTIONS_MAX = 50
const TYPING_MS = 200

interface NamePickerProps {
  readonly kind: Kind
  readonly names: readonly string[]
  readonly onChange: (names: string[]) => void
}

function NamePicker ({ kind, names, onChange }: NamePickerProps) {
  const id = useId()
  const [text, setText] = useState('')
  const suggestions = useSuggestions(kind, text)
  const input = useRef<HTMLInputElement>(null)

  function add (name: string): void {
    setText('')
    if (name !== '' && !names.includes(name)) onChange([...names, name])
  }
  function type (value: string, isChosen: boolean): void {
    if (isChosen && suggestions.includes(value)) add(value)
    else setText(value)
  }

  return (
    <div class='picker'>
      <label for={id}>{kindLabels[kind]}</label>
      <div class='chips'>
        {names.map(name => (
          <span key={name} class='chip'>
            {name}
            <button
              type='button'
              aria-label={`Remove ${name}`}
              onClick={() => {
                onChange(names.filter(it => it !== name))
                input.current?.focus()
              }}
            >
              ×
            </button>
          </span>
        ))}
        <input
          id={id}
          ref={input}
          list={`${id}-list`}
          value={text}
          autocomplete='off'
          spellcheck={false}
          placeholder={names.length === 0 ? 'all' : 'and …'}
          // choosing from the list replaces the text at once, typing inserts into it
          onInput={event =>
            type(event.currentTarget.value, !/^insert(Text|Composition|FromPaste)/.test(event.inputType ?? ''))}
          onKeyDown={event => {
            if (event.key === 'Enter') {
              event.preventDefault()
              add(event.currentTarget.value.trim())
            } else if (event.key === 'Backspace' && event.currentTarget.value === '' && names.length > 0) {
              onChange(names.slice(0, -1))
            }
          }}
          onBlur={event => add(event.currentTarget.value.trim())}
        />
        <datalist id={`${id}-list`}>
          {suggestions
            .filter(it => !names.includes(it))
            .map(it => (
              <option key={it} value={it} />
            ))}
        </datalist>
      </div>
    </div>
  )
}

/** Suggestions: all zones and types, read once, and devices that start with the typed text. */
function useSuggestions (kind: Kind, text: string): readonly string[] {
  const [prefix, setPrefix] = useState('')
  useEffect(() => {
    const timer = setTimeout(() => setPrefix(kind === 'device' ? text.trim() : ''), TYPING_MS)
    return () => clearTimeout(timer)
  }, [text])
  const { data } = useAnswer(`${kind} ${prefix}`, async (relay, signal) => {
    if (kind === 'zone') return dataOf(await relay.GET('/api/v1/zones', { signal })).zones.map(it => it.zone)
    if (kind === 'type') return dataOf(await relay.GET('/api/v1/types', { signal })).types.map(it => it.type)
    const query = { prefix, limit: SUGGESTIONS_MAX }
    return dataOf(await relay.GET('/api/v1/devices', { params: { query }, signal })).devices.map(it => it.device)
  })
  return data ?? []
}
