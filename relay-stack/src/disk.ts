/** Detects a full disk of a data folder, so that people see that instead of a stack trace of the JVM. */
import { statfs } from 'node:fs/promises'

/**
 * With less than this servers fail at one write and succeed at the next. PostgreSQL ends, and does not start again,
 * where there is no room for a segment of its log, 16 MB.
 */
const ROOM_MIN_BYTES = 20 * 1024 * 1024
const LOOK_INTERVAL_MS = 2_000

/** A message that the disk is full; undefined: it is not, or unknown, or a file system without blocks (/proc). */
export async function fullDisk (folder: string): Promise<string | undefined> {
  const room = await statfs(folder).then(it => it.blocks > 0 ? it.bavail * it.bsize : Infinity, () => Infinity)
  return room < ROOM_MIN_BYTES ? `the disk of ${folder} is full` : undefined
}

/** Reports when the disk becomes full, and when there is space again. */
export function watchDisk (folder: string, say: (line: string) => void): { close: () => void } {
  let isFull = false
  const timer = setInterval(async () => {
    const full = await fullDisk(folder)
    if ((full !== undefined) === isFull) return
    isFull = full !== undefined
    say(full === undefined
      ? `the disk of ${folder} has space again`
      : `${full}: free some space; until then events and rollups wait`)
  }, LOOK_INTERVAL_MS)
  return { close: () => clearInterval(timer) }
}
