/**
 * Who gets which partitions: every member its share, with as few moves as there can be.
 *
 * A partition moves in two steps, so that it never has two owners: it is asked back from its owner (revoked), and
 * granted to another one when it is free. Each round looks at the leases as they are; rounds repeat until nothing is to
 * be done.
 */

export interface Lease {
  readonly partition: number
  readonly member: string
  /** asked back, not yet released */
  readonly isRevoked: boolean
}

export interface Round {
  readonly grants: readonly { readonly partition: number, readonly member: string }[]
  /** partitions that their owners are to give up */
  readonly revokes: readonly number[]
}

/**
 * @param partitions how many the topic has
 * @param members all that are alive, in any order; leases of others must have been deleted before
 * @param leases at most one for each partition
 */
export function balance (partitions: number, members: readonly string[], leases: readonly Lease[]): Round {
  if (members.length === 0) return { grants: [], revokes: [] }
  const held = new Map<string, number[]>(members.toSorted().map(member => [member, []]))
  const free = new Set(Array.from({ length: partitions }, (_, partition) => partition))
  for (const { partition, member, isRevoked } of leases) {
    free.delete(partition)
    if (!isRevoked) held.get(member)?.push(partition)
  }

  // where shares differ by one, the larger ones go to those who hold most: they need give up less
  const byHeld = [...held.keys()].sort((a, b) => held.get(b)!.length - held.get(a)!.length)
  const share = Math.floor(partitions / members.length)
  const larger = partitions % members.length
  const grants: { partition: number, member: string }[] = []
  const revokes: number[] = []
  const takeFree = free.values()
  byHeld.forEach((member, index) => {
    const own = held.get(member)!.sort((a, b) => a - b)
    const target = index < larger ? share + 1 : share
    revokes.push(...own.slice(target))
    for (let count = own.length; count < target; count++) {
      const { value: partition, done } = takeFree.next()
      if (done) break // the rest of the share is still to be released
      grants.push({ partition, member })
    }
  })
  return { grants, revokes }
}
