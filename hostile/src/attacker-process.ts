/**
 * The process of attackers, so that neither the honest client nor the measurement waits for them.
 *
 *     main ── run ──▶ here ── done ──▶ main
 */
import { setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

import { Chance } from 'relay-test-support/chance.ts'
import type { Attack } from './attack.ts'
import { Attacker, type Target } from './attacker.ts'
import type { LastingSocket } from './sockets.ts'

export type Order =
  | {
    readonly kind: 'run'
    readonly name: string
    /** determines the addresses */
    readonly number: number
    readonly target: Target
    readonly seed: number
    readonly spanMs: number
    readonly generated: number
  }
  | { readonly kind: 'lasting' }

export interface Done {
  readonly kind: 'done'
  readonly requests: number
  /** by status or other outcome */
  readonly codes: Readonly<Record<string, number>>
  readonly broken: readonly string[]
  /** broken promises that are only about time */
  readonly slow: readonly string[]
  readonly note: string
}

/** State of the connections that an attack left open. */
export interface Lasted {
  readonly name: string
  readonly opened: number
  readonly stillOpen: number
  /** longest time from opening to closing, of those that closed before the check */
  readonly slowestMs: number
}

export type Told = Done | { readonly kind: 'lasting', readonly lasted: readonly Lasted[] } | { readonly kind: 'ready' }

const DRAIN_MS = 2_000
const NICE = 10

/** @param attacks by name of the order */
export function serveOrders (attacks: readonly Attack[]): void {
  const lasting = new Map<string, readonly LastingSocket[]>()
  process.on('message', async (order: Order) => {
    if (order.kind === 'lasting') {
      // a close arrives only after everything was read; connections that stay open after that are open
      const askedMs = performance.now()
      for (const it of [...lasting.values()].flat()) it.socket.resume()
      await delay(DRAIN_MS)
      tell({ kind: 'lasting', lasted: [...lasting].map(([name, sockets]) => describe(name, sockets, askedMs)) })
      return
    }
    const attack = attacks.find(it => it.name === order.name)!
    const attacker = new Attacker(order.target, new Chance(order.seed), order.spanMs, order.number, order.generated)
    try {
      await attack.run(attacker)
    } catch (error) {
      attacker.broken(`the attack itself failed: ${(error as Error).stack?.split('\n', 3).join(' ')}`)
    }
    attacker.letGo()
    lasting.set(order.name, [...lasting.get(order.name) ?? [], ...attacker.lasting]) // it may have been made before
    tell({ kind: 'done', ...attacker.result() })
  })
  process.on('disconnect', () => process.exit(0))
  tell({ kind: 'ready' })
}

function describe (name: string, sockets: readonly LastingSocket[], askedMs: number): Lasted {
  const closed = sockets.filter(it => !it.raw.isOpen)
  return {
    name,
    opened: sockets.length,
    stillOpen: sockets.length - closed.length,
    slowestMs: Math.max(0, ...closed.filter(it => it.raw.closedMs! < askedMs).map(it => it.raw.closedMs! - it.openedMs))
  }
}

/** After an interrupt nobody may be listening. */
function tell (told: Told): void { process.send?.(told, undefined, undefined, () => {}) }

if (import.meta.main) {
  setPriority(NICE) // the CPU of attackers is not the site's fault
  const { attacks } = await import('./attacks.ts')
  serveOrders(attacks)
}
