/** The partitions of a member. A revoked partition stays owned until its owner releases it. */
export class HeldPartitions {
  readonly #owned = new Set<number>()
  readonly #revoking = new Set<number>()

  /** including revoked ones that are not released */
  get owned (): ReadonlySet<number> { return this.#owned }
  get revoking (): ReadonlySet<number> { return this.#revoking }

  add (partitions: Iterable<number>): void {
    for (const partition of partitions) this.#owned.add(partition)
  }

  /** @returns those that were not revoked before: their owner is asked once */
  revoke (partitions: readonly number[]): number[] {
    const revoked = partitions.filter(it => !this.#revoking.has(it))
    for (const partition of revoked) this.#revoking.add(partition)
    return revoked
  }

  /** Releases revoked partitions; others stay. @returns whether there were any */
  release (partitions: readonly number[]): boolean {
    const released = partitions.filter(it => this.#revoking.delete(it))
    for (const partition of released) this.#owned.delete(partition)
    return released.length > 0
  }

  /** Drops all partitions. @returns those that were owned */
  drop (): number[] {
    const dropped = [...this.#owned]
    this.#owned.clear()
    this.#revoking.clear()
    return dropped
  }
}
