/**
 * Budgets: how much of what all callers share one of them may take. This is the only place where they are declared; the
 * settings, the checks and the table of docs/security.md come from here.
 *
 *     spent   an amount per time, such as new series per hour: it refills evenly, and a full one allows a burst
 *     held    an amount at once, such as open streams: whoever ends one gives it back
 *
 * Past a budget a caller is refused with RELAY_BUDGET_EXCEEDED, and nobody else is.
 */
import { Type, type Static } from 'typebox'

const HOUR_MS = 3_600_000

/** By setting: the size of each budget. */
export const budgetSettings = {
  ANSWERS_PER_CALLER_MAX: Type.Integer({
    default: 100, minimum: 1, description: 'answers of one caller that may be under way at once'
  }),
  CONNECTIONS_PER_CALLER_MAX: Type.Integer({
    default: 2_000, minimum: 1, description: 'connections by HTTP of one caller that stay open; further ones are closed after each answer'
  }),
  NEW_SERIES_PER_HOUR_MAX: Type.Integer({
    default: 20_000, minimum: 1, description: 'new series (device, zone and type) that one caller may add per hour'
  })
}

export type BudgetConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof budgetSettings>>>>

export interface Budget {
  readonly setting: keyof BudgetConfig
  /** what is counted, for messages and docs: `answers under way` */
  readonly what: string
  /** over which time a spent budget refills; undefined: it is held */
  readonly refillMs?: number
  /** the test that shows what happens past it */
  readonly shownBy: string
}

export const budgets = {
  answers: {
    setting: 'ANSWERS_PER_CALLER_MAX', what: 'answers under way', shownBy: 'relay-api/test/budgets.test.ts'
  },
  connections: {
    setting: 'CONNECTIONS_PER_CALLER_MAX', what: 'connections by HTTP that stay open', shownBy: 'relay-api/test/connections.test.ts'
  },
  newSeries: {
    setting: 'NEW_SERIES_PER_HOUR_MAX', what: 'new series', refillMs: HOUR_MS, shownBy: 'relay-api/test/budgets.test.ts'
  }
} as const satisfies Readonly<Record<string, Budget>>

export type BudgetName = keyof typeof budgets
export type SpentBudget = { [N in BudgetName]: typeof budgets[N] extends { refillMs: number } ? N : never }[BudgetName]
export type HeldBudget = Exclude<BudgetName, SpentBudget>
