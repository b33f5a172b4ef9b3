/** The disk that a data folder is on: whoever can't write there should read that it is full, and not the frames of a JVM. */
import { statfs } from 'node:fs/promises'

/** With less than this servers fail at one write and manage the next. */
const ROOM_MIN_BYTES = 4 * 1024 * 1024
const LOOK_INTERVAL_MS = 2_000

/** That the disk is full, in words; undefined: it is not, or nobody knows. */
export async function fullDisk (folder: string): Promise<string | undefined> {
  const room = await statfs(folder).then(it => it.bavail * it.bsize, () => Infinity)
  return room < ROOM_MIN_BYTES ? `the disk of ${folder} is full` : undefined
}

/** Says when the disk gets full, and when there is room again. */
export function watchDisk (folder: string, say: (line: string) => void): { close: () => void } {
  let isFull = false
  const timer = setInterval(async () => {
    const full = await fullDisk(folder)
    if ((full !== undefined) === isFull) return
    isFull = full !== undefined
    say(full === undefined ? `the disk of ${folder} has space again` : `${full}: free some space; until then events and rollups wait`)
  }, LOOK_INTERVAL_MS)
  return { close: () => clearInterval(timer) }
}
