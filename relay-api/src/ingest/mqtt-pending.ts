/**
 * Pending connections: those that have not logged in. They have places of their own, so that unknown clients can't take
 * those of known ones. The login itself is in mqtt-login.ts.
 *
 *     accepted ──a budget of its address──▶ pending ──CONNECT, known──▶ a client's
 *                       │                      │ too many, of its address or of all: the oldest goes
 *                       ▼                      ▼ CONNECT_TIMEOUT_MS after it was accepted
 *                   destroyed              destroyed
 *
 * A client sends its CONNECT at once, and needs its place for milliseconds. A silent one becomes the oldest, and goes
 * first.
 */
import type { Socket } from 'node:net'

import { normalizeIP } from '@fastify/rate-limit'

import type { Budgets } from '../budgets/budgets.ts'
import type { RefusedConnect } from './mqtt-counts.ts'

export interface PendingSettings {
  /** from the accept to the end of the login, including the TLS handshake */
  readonly connectTimeoutMs: number
  readonly pendingMax: number
  readonly pendingPerAddressMax: number
}

export class PendingConnections {
  readonly #settings: PendingSettings
  readonly #budgets: Budgets
  readonly #refused: (reason: RefusedConnect) => void
  /** in order of arrival */
  readonly #pending = new Map<Socket, { readonly address: string, readonly acceptedMs: number }>()
  readonly #byAddress = new Map<string, Set<Socket>>()

  constructor (settings: PendingSettings, budgets: Budgets, refused: (reason: RefusedConnect) => void) {
    this.#settings = settings
    this.#budgets = budgets
    this.#refused = refused
  }

  get size (): number { return this.#pending.size }

  /** @returns whether the connection may continue; otherwise it is destroyed */
  admit (socket: Socket): boolean {
    if (socket.remoteAddress === undefined) { // already closed
      socket.destroy()
      return false
    }
    const address = normalizeIP(socket.remoteAddress, 64)
    if (this.#budgets.spendUpTo('mqttConnects', address, 1) < 1) {
      this.#refused('address-budget')
      socket.destroy()
      return false
    }
    const ofAddress = this.#byAddress.get(address) ?? new Set()
    if (ofAddress.size >= this.#settings.pendingPerAddressMax) this.#evict(ofAddress.keys().next().value)
    if (this.#pending.size >= this.#settings.pendingMax) this.#evict(this.#pending.keys().next().value)
    this.#pending.set(socket, { address, acceptedMs: performance.now() })
    ofAddress.add(socket)
    this.#byAddress.set(address, ofAddress)
    socket.once('close', () => this.#forget(socket))
    return true
  }

  /** The connection belongs to a known client. */
  known (socket: Socket): void {
    this.#forget(socket)
  }

  /** Ends connections after their timeout. Call it periodically. */
  check (nowMs: number): void {
    for (const [socket, { acceptedMs }] of this.#pending) {
      if (nowMs - acceptedMs < this.#settings.connectTimeoutMs) return
      this.#refused('timeout')
      this.#forget(socket)
      socket.destroy()
    }
  }

  destroyAll (): void {
    for (const socket of this.#pending.keys()) socket.destroy()
  }

  #evict (socket: Socket | undefined): void {
    if (!socket) return
    this.#refused('too-many-pending')
    this.#forget(socket)
    socket.destroy()
  }

  #forget (socket: Socket): void {
    const known = this.#pending.get(socket)
    if (!known) return
    this.#pending.delete(socket)
    const ofAddress = this.#byAddress.get(known.address)!
    ofAddress.delete(socket)
    if (ofAddress.size === 0) this.#byAddress.delete(known.address)
  }
}
