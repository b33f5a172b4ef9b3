/** A table that scrolls if it is wider or longer than its place. */
import type { ComponentChildren } from 'preact'

export interface Column {
  readonly text: string
  readonly isNumber?: boolean
}

interface TableProps {
  /** name for screen readers */
  readonly label: string
  readonly columns: readonly (Column | string)[]
  /** its rows */
  readonly children: ComponentChildren
  readonly caption?: ComponentChildren
  /** limits its height to that of a list beside others */
  readonly isShort?: boolean
}

export function Table ({ label, columns, children, caption, isShort = false }: TableProps) {
  return (
    <div class={`scroll${isShort ? ' short' : ''}`} tabIndex={0} role='region' aria-label={label}>
      <table>
        {caption && <caption>{caption}</caption>}
        <thead>
          <tr>
            {columns.map(it => typeof it === 'string' ? { text: it } : it).map(({ text, isNumber = false }: Column) => (
              <th key={text} scope='col' class={isNumber ? 'number' : undefined}>
                {text}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}

/** A column of numbers. */
export const numeric = (text: string): Column => ({ text, isNumber: true })
