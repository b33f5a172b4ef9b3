/**
 * Writes the table of budgets in `docs/security.md` from their declarations:
 *
 *     npm exec -- node docs/budgets.ts
 */
import { readFileSync, writeFileSync } from 'node:fs'

import { budgets, budgetSettings, type Budget } from '../relay-api/src/budgets/declared.ts'

const begin = '<!-- Written by docs/budgets.ts: npm exec -- node docs/budgets.ts -->\n'
const end = '<!-- end of budgets -->'

/** The table, as Markdown. */
export function renderBudgets (): string {
  const rows = Object.values(budgets).map(({ setting, what, shownBy, ...rest }: Budget) => {
    const per =
      rest.refillMs === undefined ? 'at once' : rest.refillMs === 3_600_000 ? 'per hour' : `per ${rest.refillMs / 1000} s`
    const { default: size } = budgetSettings[setting] as unknown as { default: number }
    return `| ${what} | \`${setting}\` | ${size.toLocaleString('en')} ${per} | \`${shownBy}\` |`
  })
  return `| what one caller may have | setting | default | shown by |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
}

/** @param page docs/security.md @returns the page with the current table */
export function withBudgets (page: string): string {
  const [before, rest] = page.split(begin)
  return `${before}${begin}${renderBudgets()}${rest.slice(rest.indexOf(end))}`
}

if (import.meta.main) {
  const file = new URL('security.md', import.meta.url)
  writeFileSync(file, withBudgets(readFileSync(file, 'utf8')))
}
