/** The rows of a chart, as a table, a page at a time. */
import { useState } from 'preact/hooks'

import { countOf, formatNumber, formatTime } from './format.ts'
import type { GroupBy, Row } from './series.ts'
import { numeric, Table } from './table.tsx'

interface RowsTableProps {
  readonly rows: readonly Row[]
  readonly columns: readonly string[]
  readonly groupBy: GroupBy | undefined
  readonly zone: string
}

const PAGE_ROWS = 25

export function RowsTable ({ rows, columns, groupBy, zone }: RowsTableProps) {
  const [page, setPage] = useState(0)
  const pages = Math.max(1, Math.ceil(rows.length / PAGE_ROWS))
  const shown = Math.min(page, pages - 1)
  const first = shown * PAGE_ROWS
  return (
    <div class='table'>
      <Table
        label='Rows'
        columns={[`From (${zone})`, ...(groupBy ? [groupBy] : []), ...columns.map(numeric), 'state']}
      >
        {rows.slice(first, first + PAGE_ROWS).map(row => (
          <tr key={`${row.bucketStart} ${groupBy && row[groupBy]}`} class={row.filled ? 'filled' : row.status}>
            <td>{formatTime(row.bucketStart, zone, 'zone')}</td>
            {groupBy && <td>{row[groupBy]}</td>}
            {columns.map(it => (
              <Cell key={it} row={row} column={it} />
            ))}
            <td>
              <Status row={row} />
            </td>
          </tr>
        ))}
      </Table>
      <p class='pages'>
        <button type='button' disabled={shown === 0} onClick={() => setPage(shown - 1)}>
          Previous rows
        </button>
        <span>
          {rows.length === 0
            ? 'no rows'
            : `${first + 1} to ${Math.min(first + PAGE_ROWS, rows.length)} of ${countOf(rows.length, 'row')}`}
        </span>
        <button type='button' disabled={shown === pages - 1} onClick={() => setPage(shown + 1)}>
          Next rows
        </button>
      </p>
    </div>
  )
}

function Cell ({ row, column }: { readonly row: Row; readonly column: string }) {
  const value = row[column] as number | null | undefined
  const error = row[`${column}Error`] as number | null | undefined
  const why = row.unavailable?.[column]
  return (
    <td class='number' title={why && `not available: ${why}`}>
      {formatNumber(value)}
      {typeof value === 'number' && error !== undefined && error !== 0 && (
        <small> ± {error === null ? '?' : formatNumber(error)}</small>
      )}
      {why && <small> {why}</small>}
    </td>
  )
}

const statusTexts = {
  final: 'final',
  provisional: 'provisional: more may come',
  revised: 'revised by late readings'
} as const

function Status ({ row }: { readonly row: Row }) {
  return (
    <>
      {row.filled ? 'no readings, ' : ''}
      {statusTexts[row.status] ?? row.status}
    </>
  )
}
