import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { MessageChannel } from 'node:worker_threads'

import fc from 'fast-check'

import { RelayError } from 'relay-common'
import { until } from 'relay-test-support/until.ts'
import { groupOver, serveGroup, splitGroup } from '../src/split-group.ts'
import type { GroupEvents, JoinGroup } from '../src/port.ts'

const topic = { name: 'iot-events', topicId: 'a-topic', partitions: 100 }
const partitions = fc.uniqueArray(fc.nat(99))

/** A group that records the calls of its member. */
function openGroup () {
  const said: string[] = []
  let events: GroupEvents | undefined
  const join: JoinGroup = member => {
    events = member
    said.push('join')
    return {
      release: released => { said.push(`release ${released}`) },
      commit: async nextOffsets => { said.push(`commit ${[...nextOffsets.keys()]}`) },
      close: async () => { said.push('close') }
    }
  }
  return { said, join, tell: () => events! }
}

/** A member that records its events. */
function openMember () {
  const told: Array<{ kind: string, partitions: number[] }> = []
  const failures: unknown[] = []
  const events: GroupEvents = {
    assigned: (_topic, partitions) => told.push({ kind: 'assigned', partitions }),
    revoked: partitions => told.push({ kind: 'revoked', partitions }),
    lost: partitions => told.push({ kind: 'lost', partitions }),
    appended: () => told.push({ kind: 'appended', partitions: [] }),
    failed: error => failures.push(error)
  }
  return { told, failures, events }
}

test('each partition belongs to the same share every time, and is assigned only after all shares have joined', () => {
  const news = fc.array(fc.tuple(fc.constantFrom('assigned', 'revoked', 'lost'), partitions))
  fc.assert(fc.property(fc.integer({ min: 1, max: 8 }), news, (count, news) => {
    const group = openGroup()
    const members = Array.from({ length: count }, openMember)
    for (const [index, join] of splitGroup(group.join, count).entries()) {
      assert.deepEqual(group.said, [])
      join(members[index].events)
    }
    assert.deepEqual(group.said, ['join'])
    for (const [kind, partitions] of news) {
      if (kind === 'assigned') group.tell().assigned(topic, partitions)
      else group.tell()[kind as 'revoked' | 'lost'](partitions)
    }
    const owners = new Map<number, number>()
    for (const [index, { told }] of members.entries()) {
      for (const partition of told.flatMap(it => it.partitions)) {
        assert.equal(owners.get(partition) ?? index, index)
        owners.set(partition, index)
      }
    }
    const all = (of: ReadonlyArray<readonly [string, number[]]>) =>
      of.flatMap(([kind, own]) => own.map(it => `${kind} ${it}`)).sort()
    assert.deepEqual(
      all(members.flatMap(it => it.told.map(({ kind, partitions }) => [kind, partitions] as const))), all(news)
    )
  }))
})

test('the group is left when the last share has closed', async () => {
  const group = openGroup()
  const shares = splitGroup(group.join, 3).map(join => join(openMember().events))
  await shares[1].close()
  await shares[0].close()
  assert.deepEqual(group.said, ['join'])
  await shares[2].close()
  assert.deepEqual(group.said, ['join', 'close'])
})

/** A group and a member connected by a port. */
function openOverPort (t: TestContext) {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  const group = openGroup()
  serveGroup(port1, group.join)
  const member = openMember()
  return { group, member, link: groupOver(port2)(member.events) }
}

test('over a port news keep their order, and calls get results', async t => {
  const { group, member, link } = openOverPort(t)
  group.tell().assigned(topic, [1, 2])
  group.tell().appended()
  group.tell().revoked([2])
  link.release([2])
  await link.commit(new Map([[1, 5n]]))
  await link.close()
  await until('the news to arrive', () => member.told.length === 3)
  assert.deepEqual(member.told.map(it => it.kind), ['assigned', 'appended', 'revoked'])
  assert.deepEqual(group.said, ['join', 'release 2', 'commit 1', 'close'])
})

test('an error keeps its code, message and cause over a port', async t => {
  const { group, member } = openOverPort(t)
  group.tell().failed(new RelayError(
    'RELAY_TOPIC_MISSING', 'there is no topic', { cause: new Error('it was deleted') }
  ))
  await until('the error to arrive', () => member.failures.length === 1)
  const [error] = member.failures as RelayError[]
  assert.ok(error instanceof RelayError)
  assert.deepEqual([error.code, error.message, (error.cause as Error).message],
    ['RELAY_TOPIC_MISSING', 'there is no topic', 'it was deleted'])
})
