import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'

import { balance, type PartitionLease } from '../src/balance.ts'

const names = ['a', 'b', 'c', 'd', 'e', 'f']

/** A group in any state: some members, some partitions leased to them, some of those revoked. */
const state = fc.record({
  partitions: fc.integer({ min: 1, max: 20 }),
  members: fc.subarray(names, { minLength: 1 }),
  seeds: fc.array(fc.record({ owner: fc.option(fc.nat()), isRevoked: fc.boolean() }), { minLength: 20, maxLength: 20 })
}).map(({ partitions, members, seeds }) => ({
  partitions,
  members,
  leases: seeds.slice(0, partitions).flatMap(({ owner, isRevoked }, partition): PartitionLease[] =>
    owner === null ? [] : [{ partition, member: members[owner % members.length], isRevoked }])
}))

/** One round of leases; with `isPrompt` owners release revoked partitions at once. */
function play (
  partitions: number, members: readonly string[], leases: readonly PartitionLease[], isPrompt: boolean
): PartitionLease[] {
  const { grants, revokes } = balance(partitions, members, leases)
  for (const { partition } of grants) {
    const owner = leases.find(it => it.partition === partition)
    assert.equal(owner, undefined, `partition ${partition} was granted while somebody had it`)
  }
  return [
    ...leases.map(it => revokes.includes(it.partition) ? { ...it, isRevoked: true } : it),
    ...grants.map(it => ({ ...it, isRevoked: false }))
  ].filter(it => !isPrompt || !it.isRevoked)
}

function settle (partitions: number, members: readonly string[], leases: readonly PartitionLease[]): PartitionLease[] {
  for (let round = 0; round < 4; round++) leases = play(partitions, members, leases, true)
  return [...leases]
}

function countOf (leases: readonly PartitionLease[], member: string): number {
  return leases.filter(it => it.member === member).length
}

suite('assigning partitions', () => {
  test('from any state every partition ends with one owner, and shares differ by one at most', () => {
    fc.assert(fc.property(state, ({ partitions, members, leases }) => {
      const settled = settle(partitions, members, leases)
      const all = Array.from({ length: partitions }, (_, partition) => partition)
      assert.deepEqual(settled.map(it => it.partition).sort((a, b) => a - b), all)
      const counts = members.map(it => countOf(settled, it))
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `shares are ${counts}`)
      assert.deepEqual(balance(partitions, members, settled), { grants: [], revokes: [] }, 'it goes on moving')
    }), { numRuns: 1_000 })
  })

  test('no assignment with fewer moves exists', () => {
    fc.assert(fc.property(state, ({ partitions, members, leases }) => {
      const held = leases.filter(it => !it.isRevoked)
      const { revokes } = balance(partitions, members, leases)
      // all ways to choose who has one more than the others
      const share = Math.floor(partitions / members.length)
      const larger = partitions % members.length
      let staysMost = 0
      for (let choice = 0; choice < 2 ** members.length; choice++) {
        const isLarger = members.map((_, index) => (choice >> index & 1) === 1)
        if (isLarger.filter(it => it).length !== larger) continue
        const stays = members.map((it, index) => Math.min(countOf(held, it), share + (isLarger[index] ? 1 : 0)))
        staysMost = Math.max(staysMost, stays.reduce((sum, it) => sum + it))
      }
      assert.equal(held.length - revokes.length, staysMost)
    }), { numRuns: 500 })
  })

  test('a revoked partition has no other owner before its release, after any number of rounds', () => {
    fc.assert(fc.property(state, fc.subarray(names), ({ partitions, members, leases }, joining) => {
      const all = [...new Set([...members, ...joining])]
      let later = play(partitions, all, leases, false)
      for (let round = 0; round < 3; round++) later = play(partitions, all, later, false)
      for (const before of leases) {
        assert.equal(later.find(it => it.partition === before.partition)?.member, before.member)
      }
    }))
  })

  test('the order of members in the list does not matter', () => {
    fc.assert(fc.property(state, ({ partitions, members, leases }) => {
      assert.deepEqual(
        balance(partitions, members.toReversed(), leases.toReversed()), balance(partitions, members, leases))
    }))
  })

  test('a group without members assigns nothing', () => {
    assert.deepEqual(balance(3, [], []), { grants: [], revokes: [] })
  })
})
