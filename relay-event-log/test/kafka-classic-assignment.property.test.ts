import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'

import {
  decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription, shareOut, type Subscriber
} from '../src/kafka/classic-assignment.ts'

const TOPIC = 'events'
const names = ['a', 'b', 'c', 'd', 'e', 'f']

/** A member as seen by its own process. */
interface Member { readonly owned: Set<number>, readonly revoking: Set<number>, topicId: string, generation: number }

/** A group whose members follow `shareOut`, like `kafka/classic-membership.ts`. */
class Group {
  readonly members = new Map<string, Member>()
  partitions: number
  topicId = 'first'
  generation = 0

  constructor (partitions: number) { this.partitions = partitions }

  subscribers (): Subscriber[] {
    return [...this.members].map(([memberId, { owned, revoking, topicId, generation }]) => ({
      memberId,
      instanceId: null,
      topic: TOPIC,
      topicId: owned.size > 0 ? topicId : this.topicId,
      partitions: this.partitions,
      owned: [...owned],
      revoking: [...revoking],
      generation
    }))
  }

  rebalance (): void {
    this.generation++
    const assignments = shareOut(this.partitions, this.subscribers())
    // in the order of their answers: nobody may get a partition that another one has not released
    for (const [name, member] of this.members) {
      const assigned = assignments.get(name)!
      member.generation = this.generation
      for (const partition of assigned) {
        assert.ok(partition < this.partitions, `${name} gets partition ${partition} of ${this.partitions}`)
        assert.ok(!member.revoking.has(partition), `${name} is asked for partition ${partition} and given it at once`)
      }
      for (const partition of member.owned) {
        if (!assigned.includes(partition) || member.topicId !== this.topicId) member.revoking.add(partition)
      }
      if (member.owned.size > 0 && member.topicId !== this.topicId) continue
      for (const partition of assigned) {
        if (member.owned.has(partition)) continue
        for (const [other, { owned }] of this.members) {
          assert.ok(!owned.has(partition), `${name} gets partition ${partition}, which ${other} has`)
        }
        member.owned.add(partition)
        member.topicId = this.topicId
      }
    }
  }

  release (name: string): void {
    const member = this.members.get(name)
    for (const partition of member?.revoking ?? []) member!.owned.delete(partition)
    member?.revoking.clear()
  }

  /** Until nothing moves: each releases at once, and joins again. */
  settle (): void {
    for (let round = 0; round < 4; round++) {
      this.rebalance()
      for (const name of this.members.keys()) this.release(name)
    }
  }

  counts (): number[] {
    return [...this.members.values()].map(it => it.owned.size)
  }
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('join' as const), name: fc.constantFrom(...names) }),
  fc.record({ kind: fc.constant('leave' as const), name: fc.constantFrom(...names) }),
  fc.record({ kind: fc.constant('release' as const), name: fc.constantFrom(...names) }),
  fc.record({ kind: fc.constant('grow' as const), by: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('made anew' as const), partitions: fc.integer({ min: 1, max: 16 }) }),
  fc.record({ kind: fc.constant('rebalance' as const) })
)

function play (group: Group, steps: ReadonlyArray<typeof step extends fc.Arbitrary<infer Step> ? Step : never>): void {
  for (const it of steps) {
    switch (it.kind) {
      case 'join':
        if (!group.members.has(it.name)) {
          group.members.set(it.name, { owned: new Set(), revoking: new Set(), topicId: group.topicId, generation: -1 })
        }
        group.rebalance()
        break
      case 'leave':
        group.members.delete(it.name)
        group.rebalance()
        break
      case 'release':
        group.release(it.name)
        break
      case 'grow':
        group.partitions += it.by
        group.rebalance()
        break
      case 'made anew':
        group.topicId += '.'
        group.partitions = it.partitions
        group.rebalance()
        break
      case 'rebalance':
        group.rebalance()
    }
  }
}

suite('assigning partitions to members', () => {
  const lives = [fc.integer({ min: 1, max: 16 }), fc.array(step, { maxLength: 30 })] as const

  test('a partition never has two owners, whoever joins, leaves or continues to write', () => {
    fc.assert(fc.property(...lives, (partitions, steps) => { play(new Group(partitions), steps) }), { numRuns: 1_000 })
  })

  test('after all releases every partition has one owner, shares differ by at most one, and nothing moves', () => {
    fc.assert(fc.property(...lives, fc.constantFrom(...names), (partitions, steps, last) => {
      const group = new Group(partitions)
      play(group, [...steps, { kind: 'join', name: last }])
      group.settle()
      const owned = [...group.members.values()].flatMap(it => [...it.owned])
      assert.deepEqual(
        owned.sort((a, b) => a - b), Array.from({ length: group.partitions }, (_, partition) => partition)
      )
      assert.ok(Math.max(...group.counts()) - Math.min(...group.counts()) <= 1, `shares are ${group.counts()}`)
      const before = [...group.members].map(([name, { owned }]) => [name, [...owned].sort()])
      group.rebalance()
      assert.deepEqual([...group.members].map(([name, { owned }]) => [name, [...owned].sort()]), before)
    }), { numRuns: 1_000 })
  })

  test('a joining member takes only its share; a leaving member moves no partition of others', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 5 }), (partitions, count) => {
      const group = new Group(partitions)
      play(group, names.slice(0, count).map(name => ({ kind: 'join', name })))
      group.settle()
      const held = () => new Map([...group.members].map(([name, { owned }]) => [name, new Set(owned)]))
      const before = held()
      play(group, [{ kind: 'join', name: 'f' }])
      group.settle()
      const moved =
        [...before].flatMap(([name, owned]) => [...owned].filter(it => !group.members.get(name)!.owned.has(it)))
      assert.equal(moved.length, Math.floor(partitions / (count + 1)))

      const shared = held()
      play(group, [{ kind: 'leave', name: 'f' }])
      group.settle()
      for (const [name, { owned }] of group.members) {
        for (const partition of shared.get(name)!) {
          assert.ok(owned.has(partition), `${name} lost partition ${partition}`)
        }
      }
    }))
  })

  test('if two members claim a partition, the one of the newer generation keeps it', () => {
    const claim = (memberId: string, generation: number): Subscriber =>
      ({ memberId, instanceId: null, topic: TOPIC, topicId: 't', partitions: 2, owned: [0], revoking: [], generation })
    for (const subscribers of [[claim('a', 7), claim('b', 4)], [claim('b', 4), claim('a', 7)]]) {
      assert.deepEqual(shareOut(2, subscribers), new Map([['a', [0]], ['b', [1]]]))
    }
  })

  test('the order of members in the broker\'s list does not matter', () => {
    fc.assert(fc.property(...lives, (partitions, steps) => {
      const group = new Group(partitions)
      play(group, steps)
      const shares = (of: Subscriber[]) => [...shareOut(group.partitions, of)].sort()
      assert.deepEqual(shares(group.subscribers().reverse()), shares(group.subscribers()))
    }))
  })

  test('messages between members survive encoding', () => {
    const partitions = fc.uniqueArray(fc.integer({ min: 0, max: 1_000 }), { maxLength: 20 })
    const sorted = (of: readonly number[]) => of.toSorted((a, b) => a - b)
    fc.assert(fc.property(
      fc.string({ minLength: 1 }), fc.uuid(), fc.nat(), partitions, partitions,
      fc.integer({ min: -1, max: 2 ** 31 - 1 }),
      (topic, topicId, count, owned, revoking, generation) => {
        const subscription = {
          topic, topicId, partitions: count, owned: sorted(owned), revoking: sorted(revoking), generation
        }
        assert.deepEqual(decodeSubscription(encodeSubscription(subscription)), subscription)
        assert.deepEqual(decodeAssignment(topic, encodeAssignment(topic, owned)), sorted(owned))
        assert.deepEqual(decodeAssignment(`${topic}.`, encodeAssignment(topic, owned)), [])
      }))
  })
})
