/**
 * Assigns partitions to members: equal shares, with as few moves as possible.
 *
 * A partition moves in two steps, so that it never has two owners: it is revoked from its owner, and granted to another
 * member after its release. Each round starts from the current leases. Rounds repeat until nothing changes.
 */

export interface PartitionLease {
  readonly partition: number
  readonly member: string
  /** revoked, not yet released */
  readonly isRevoked: boolean
}

export interface Round {
  readonly grants: readonly { readonly partition: number, readonly member: string }[]
  /** partitions that their owners must release */
  readonly revokes: readonly number[]
}

/**
 * @param partitions number of partitions of the topic
 * @param members all live members, in any order; delete the leases of others first
 * @param leases at most one per partition
 */
export function balance (partitions: number, members: readonly string[], leases: readonly PartitionLease[]): Round {
  if (members.length === 0) return { grants: [], revokes: [] }
  const held = new Map<string, number[]>(members.toSorted().map(member => [member, []]))
  const free = new Set(Array.from({ length: partitions }, (_, partition) => partition))
  for (const { partition, member, isRevoked } of leases) {
    free.delete(partition)
    if (!isRevoked) held.get(member)?.push(partition)
  }

  // shares may differ by one; larger shares go to members that hold most, so that they release less
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
