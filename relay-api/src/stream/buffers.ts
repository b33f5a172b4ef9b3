/**
 * What waits for clients of streams that read slowly, taken together: each may have a full buffer, but not all of them at
 * once. Past the budget of a caller, or of all, those go first that most waits for; they come back with the id that they have.
 */

export interface WaitingClient {
  readonly caller: string
  /** what was sent to it and has not left yet */
  readonly waitingBytes: number
}

export interface BufferLimits {
  readonly perCallerMaxBytes: number
  readonly maxBytes: number
}

export interface Dropped<C> {
  readonly client: C
  /** whether its caller has too much, and not all of them together */
  readonly isCallers: boolean
}

/** @returns those that have to go, so that what is left is within the limits */
export function chooseDropped<C extends WaitingClient> (clients: Iterable<C>, { perCallerMaxBytes, maxBytes }: BufferLimits): Dropped<C>[] {
  const byCaller = new Map<string, number>()
  let all = 0
  for (const { caller, waitingBytes } of clients) {
    if (waitingBytes === 0) continue // as for nearly all
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
