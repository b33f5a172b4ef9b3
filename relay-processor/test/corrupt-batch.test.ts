/** Batches damaged on the broker's disk: one letter each, with their bytes, and reading continues after them. */
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { openOwnKafka } from 'relay-test-support/local-kafka.ts'
import { withChecksum } from 'relay-test-support/record-batches.ts'
import { startProcessor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled } from './support/open-processor.ts'
import { readDeadLetters } from './support/read-dead-letters.ts'
import { readWindows, recompute } from './support/recompute.ts'

// position in a record batch of version 2 (https://kafka.apache.org/documentation/#recordbatch)
const AT_LENGTH = 8
const AT_MAGIC = 16
const AT_ATTRIBUTES = 21
const AT_RECORDS = 61
const LENGTH_STARTS = 12

const EVENTS_A_BATCH = 5
const damages: Array<[what: string, damage: (batch: Buffer) => void, detail: RegExp]> = [
  ['a bit that flipped', batch => { batch[AT_RECORDS + 20] ^= 1 }, /checksum/],
  ['a format that nobody knows', batch => { batch[AT_MAGIC] = 3 }, /format 3/],
  ['a compression that nobody knows', batch => { batch[AT_ATTRIBUTES + 1] |= 7; withChecksum(batch) }, /decompress/],
  ['compressed bytes that are none', batch => { batch[AT_ATTRIBUTES + 1] |= 3; withChecksum(batch) }, /decompress/]
]

test('each corrupt batch becomes one letter, and the records between them count', async t => {
  const kafka = await openOwnKafka(t)
  if (!kafka) return
  const site = (await openSite(t, 'kafka', { KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers }))!
  const batches = Array.from({ length: 2 * damages.length + 1 }, (_, n) =>
    makeEvents(EVENTS_A_BATCH, n + 1).map(it => ({ ...it, deviceId: 'one-device' }))) // one key: one partition
  for (const batch of batches) await send(site, batch)

  const { partition } = (await site.eventLog.readOffsets(site.config.EVENTS_TOPIC)).find(it => it.endOffset > 0n)!
  const [segment] = globSync(`**/${site.config.EVENTS_TOPIC}-${partition}/*.log`, { cwd: kafka.dataDir })
  const damaged = await damageEverySecond(join(kafka.dataDir, segment))
  const processor = await startProcessor(site.config, createLogger('test', 'silent'))
  await settled(site)
  await processor.close()

  const letters = await readDeadLetters(site)
  assert.equal(letters.length, damages.length)
  for (const [index, [what, , detail]] of damages.entries()) {
    assert.equal(letters[index].reason, 'batch-corrupt', what)
    assert.match(letters[index].detail, detail)
    assert.match(letters[index].detail, new RegExp(`\\(${EVENTS_A_BATCH} records\\)`))
    assert.equal(letters[index].sourceOffset, BigInt((2 * index + 1) * EVENTS_A_BATCH))
    assert.deepEqual(letters[index].value, damaged[index], 'the bytes of the batch')
  }
  const whole = batches.filter((_, n) => n % 2 === 0).flat()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(whole)))
})

/** @returns the damaged batches, as they are on disk now */
async function damageEverySecond (segment: string): Promise<Buffer[]> {
  const file = await open(segment, 'r+')
  try {
    const bytes = await file.readFile()
    const damaged: Buffer[] = []
    for (let at = 0, n = 0; at < bytes.length; n++) {
      const end = at + LENGTH_STARTS + bytes.readInt32BE(at + AT_LENGTH)
      if (n % 2 === 1) {
        const batch = bytes.subarray(at, end)
        damages[damaged.length][1](batch)
        await file.write(batch, 0, batch.length, at)
        damaged.push(batch)
      }
      at = end
    }
    return damaged
  } finally {
    await file.close()
  }
}
