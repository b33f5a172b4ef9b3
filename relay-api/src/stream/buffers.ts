/**
 * Buffers of slow stream clients, taken together: each may be full, but not all at once. Above the budget of a caller,
 * or of all, the clients with the largest buffers are dropped; they resume with their last id.
 */

export interface WaitingClient {
  readonly caller: string
  /** bytes sent to it that have not left yet */
  readonly waitingBytes: number
}

export interface BufferLimits {
  readonly perCallerMaxBytes: number
  readonly maxBytes: number
}

export interface Dropped<C> {
  readonly client: C
  /** whether its caller has too much, in contrast to all callers together */
  readonly isCallers: boolean
}

/** @returns the clients to drop, so that the rest is within the limits */
export function chooseDropped<C extends WaitingClient> (
  clients: Iterable<C>, { perCallerMaxBytes, maxBytes }: BufferLimits
): Dropped<C>[] {
  const byCaller = new Map<string, number>()
  let all = 0
  for (const { caller, waitingBytes } of clients) {
    if (waitingBytes === 0) continue // nearly always
    byCaller.set(caller, (byCaller.get(caller) ?? 0) + waitingBytes)
    all += waitingBytes
  }
  if (all <= maxBytes && [...byCaller.values()].every(it => it <= perCallerMaxBytes)) return []

  const dropped: Dropped<C>[] = []
  const fullestFirst = [...clients].filter(it => it.waitingBytes > 0).sort((a, b) => b.waitingBytes - a.waitingBytes)
  for (const client of fullestFirst) {
    const { caller, waitingBytes } = client
    const own = byCaller.get(caller)!
    if (own <= perCallerMaxBytes && all <= maxBytes) continue
    dropped.push({ client, isCallers: own > perCallerMaxBytes })
    byCaller.set(caller, own - waitingBytes)
    all -= waitingBytes
  }
  return dropped
}
