/** What each caller has used of its budgets (declared.ts). */
import { Counter, RelayError, type Registry } from 'relay-common'
import { LruMap } from 'toad-cache'

import {
  budgets, type Budget, type BudgetConfig, type BudgetName, type HeldBudget, type SpentBudget
} from './declared.ts'

export interface Budgets {
  /**
   * Takes an amount from a refilling budget; all of it or nothing.
   * @param caller id of a principal
   * @throws RelayError RELAY_BUDGET_EXCEEDED, with the time until the amount is available
   */
  spend (name: SpentBudget, caller: string, amount?: number): void
  /**
   * Takes what is left of a refilling budget, at most `amount`.
   * @returns the amount taken, from 0
   */
  spendUpTo (name: SpentBudget, caller: string, amount: number): number
  /** Seconds until an amount is available, or the whole budget; at least 1. */
  waitS (name: SpentBudget, caller: string, amount: number): number
  /**
   * Holds an amount until it is disposed of.
   * @throws RelayError RELAY_BUDGET_EXCEEDED
   */
  hold (name: HeldBudget, caller: string, amount?: number): Held
  /** Size of a budget that is measured instead of held. */
  maxOf (name: BudgetName): number
  /** Counts that a caller exceeded a measured budget. */
  count (name: BudgetName, caller: string): void
}

export interface Held extends Disposable {
  /** Holds more. @throws RelayError RELAY_BUDGET_EXCEEDED; the earlier amount is still held */
  add (amount: number): void
}

/** Callers that a process remembers per budget; beyond that it forgets the one that was quiet for longest. */
const CALLERS_KEPT_MAX = 20_000
/** Callers named in metrics, so that a flood of identities can't fill the memory; others count as `other`. */
const CALLERS_NAMED_MAX = 1_000
/** When to retry if other requests of the same caller must finish first. */
const HELD_RETRY_S = 2

/** @param now monotonic, ms */
export function createBudgets (
  config: BudgetConfig, metrics: Registry, now: () => number = () => performance.now()
): Budgets {
  const exceeded = new Counter({
    name: 'relay_api_budget_exceeded_total',
    help: 'Requests and messages refused because the caller exceeded a budget',
    labelNames: ['budget', 'caller'],
    registers: [metrics]
  })
  // callers are unknown until they come
  for (const budget of Object.keys(budgets)) exceeded.inc({ budget, caller: 'other' }, 0)
  const named = new Set<string>()
  const spent = new Map(Object.keys(budgets).map(name => [name, new LruMap<BudgetLevel>(CALLERS_KEPT_MAX)]))
  /** by budget, what each caller holds */
  const held = new Map(Object.keys(budgets).map(name => [name, new Map<string, number>()]))

  const count = (name: BudgetName, caller: string) => {
    if (named.size < CALLERS_NAMED_MAX) named.add(caller)
    exceeded.inc({ budget: name, caller: named.has(caller) ? caller : 'other' })
  }

  const refuse = (name: BudgetName, caller: string, retryAfterS: number): never => {
    count(name, caller)
    const { what, setting, refillMs }: Budget = budgets[name]
    const per = refillMs === undefined ? 'at once' : `per ${refillMs / 1000} s`
    throw new RelayError('RELAY_BUDGET_EXCEEDED',
      `limit of ${config[setting]} ${what} ${per} per caller exceeded (${setting}); try again in ${retryAfterS} s`, { retryAfterS })
  }

  /** @returns what is left now */
  const levelOf = (name: SpentBudget, caller: string): BudgetLevel => {
    const { setting, refillMs } = budgets[name]
    const max = config[setting]
    const atMs = now()
    const levels = spent.get(name)!
    let level = levels.get(caller)
    if (level === undefined) levels.set(caller, level = { left: max, atMs })
    level.left = Math.min(max, level.left + (atMs - level.atMs) * max / refillMs)
    level.atMs = atMs
    return level
  }

  const waitS = (name: SpentBudget, caller: string, amount: number): number => {
    const { left } = levelOf(name, caller)
    const { setting, refillMs } = budgets[name]
    const max = config[setting]
    return Math.max(1, Math.ceil((Math.min(amount, max) - left) * refillMs / max / 1000))
  }

  return {
    waitS,
    count,
    maxOf: name => config[budgets[name].setting],
    spend (name, caller, amount = 1) {
      const level = levelOf(name, caller)
      if (level.left < amount) refuse(name, caller, waitS(name, caller, amount))
      level.left -= amount
    },
    spendUpTo (name, caller, amount) {
      const level = levelOf(name, caller)
      const taken = Math.min(amount, Math.floor(level.left))
      level.left -= taken
      if (taken < amount) count(name, caller)
      return taken
    },
    hold (name, caller, amount = 1) {
      const byCaller = held.get(name)!
      let own = 0
      const add = (more: number) => {
        const all = byCaller.get(caller) ?? 0
        if (all + more > config[budgets[name].setting]) refuse(name, caller, HELD_RETRY_S)
        byCaller.set(caller, all + more)
        own += more
      }
      add(amount)
      return {
        add,
        [Symbol.dispose] () {
          const left = (byCaller.get(caller) ?? 0) - own
          own = 0
          if (left > 0) byCaller.set(caller, left)
          else byCaller.delete(caller)
        }
      }
    }
  }
}

/** The rest of a spent budget at a time. */
interface BudgetLevel {
  left: number
  atMs: number
}
