/** A table that scrolls by itself where it is wider, or longer, than its place. */
import type { ComponentChildren } from 'preact'

export interface Column {
  readonly text: string
  readonly isNumber?: boolean
}

interface TableProps {
  /** what it is, for those who don't see it */
  readonly label: string
  readonly columns: readonly (Column | string)[]
  /** its rows */
  readonly children: ComponentChildren
  readonly caption?: ComponentChildren
  /** no longer than a list beside others may be */
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
