/**
 * Splits one group membership among several consumers in threads of this process. The group sees one member, and share
 * p mod n reads partition p.
 *
 *     the log's group ──assigned, revoked, lost──▶ splitGroup ──▶ share 0: a consumer in this thread
 *                     ◀──release, commit, close──             └─▶ share 1: serveGroup ═port═ groupOver: one in another
 */
import type { MessagePort } from 'node:worker_threads'

import { fromPlainError, linkThread, toPlainError, type PlainError } from 'relay-common'
import type { GroupMembership, GroupEvents, JoinGroup } from './port.ts'

/**
 * Splits a membership. The group is joined when all shares have joined, and left when all have closed.
 * @returns how a consumer of each share joins
 */
export function splitGroup (join: JoinGroup, shares: number): JoinGroup[] {
  const members: Array<GroupEvents | undefined> = Array.from({ length: shares }, () => undefined)
  const joined = Promise.withResolvers<GroupMembership>()
  let closed = 0

  /** Calls each share with its own partitions, if there are any. */
  const callShares = (partitions: readonly number[], how: (member: GroupEvents, own: number[]) => void) => {
    for (const [index, member] of members.entries()) {
      const own = partitions.filter(it => it % shares === index)
      if (own.length > 0) how(member!, own)
    }
  }
  const events: GroupEvents = {
    assigned: (topic, partitions) => callShares(partitions, (member, own) => member.assigned(topic, own)),
    revoked: partitions => callShares(partitions, (member, own) => member.revoked(own)),
    lost: partitions => callShares(partitions, (member, own) => member.lost(own)),
    appended: () => { for (const member of members) member!.appended() },
    failed: error => { for (const member of members) member!.failed(error) }
  }
  const hasJoined = () => members.every(it => it !== undefined)
  return members.map((_, index) => own => {
    members[index] = own
    if (hasJoined()) joined.resolve(join(events))
    return {
      release: partitions => { joined.promise.then(it => it.release(partitions)) },
      commit: async nextOffsets => (await joined.promise).commit(nextOffsets),
      close: async () => {
        closed++
        if (closed === shares) await (await joined.promise).close()
      }
    }
  })
}

type EventsOverPort = Pick<GroupEvents, 'assigned' | 'revoked' | 'lost' | 'appended'> & {
  failed (
    error: PlainError
  ): void
}

/** Joins a group for a consumer in another thread, which holds the other end of the port. */
export function serveGroup (port: MessagePort, join: JoinGroup): void {
  const member = linkThread<EventsOverPort>(port, {
    release: (partitions: number[]) => group.release(partitions),
    commit: (nextOffsets: ReadonlyMap<number, bigint>) => group.commit(nextOffsets),
    close: () => group.close()
  })
  const group = join({
    assigned: (topic, partitions) => member.notify('assigned', topic, partitions),
    revoked: partitions => member.notify('revoked', partitions),
    lost: partitions => member.notify('lost', partitions),
    appended: () => member.notify('appended'),
    failed: error => member.notify('failed', toPlainError(error))
  })
}

/** Joins a group that is served at the other end of the port. */
export function groupOver (port: MessagePort): JoinGroup {
  return events => {
    const group = linkThread<GroupMembership>(port, {
      ...events, failed: (error: PlainError) => events.failed(fromPlainError(error))
    })
    return {
      release: partitions => group.notify('release', partitions),
      commit: nextOffsets => group.call('commit', [nextOffsets]),
      close: () => group.call('close', [])
    }
  }
}
