/** A copy of a broker's disk, to which it can be restored. */
import { cp, rm } from 'node:fs/promises'

import type { Broker } from './kafka-cluster.ts'

/** Copies it while the broker is stopped. */
export async function copyDisk (broker: Broker, copy: string): Promise<void> {
  await broker.stop()
  await cp(broker.dataDir, copy, { recursive: true })
  await broker.start()
}

/** kill -9, then the broker starts on the copy. */
export async function restoreDisk (broker: Broker, copy: string): Promise<void> {
  await broker.kill()
  await rm(broker.dataDir, { recursive: true })
  await cp(copy, broker.dataDir, { recursive: true })
  await broker.start()
}
