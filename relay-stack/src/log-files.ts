/**
 * Log files of the stack's parts. The processes append to them directly, so that nothing is lost if the stack is
 * killed. This file shortens them, and formats them for people.
 */
import { chmod, copyFile, mkdir, open, readdir, rename, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'

import { printable } from 'relay-common'

import { fileReason } from './file-error.ts'

/** A longer log starts again; the old content stays beside it, as `.before`. */
const LOG_BYTES_MAX = 16 * 1024 * 1024
const LOOK_INTERVAL_MS = 2_000
const FOLLOW_INTERVAL_MS = 200
const TAIL_BYTES = 16 * 1024

export interface LogFiles {
  /** log file of a part */
  pathOf (part: string): string
  close (): Promise<void>
}

/** Prepares the logs of a new run, and keeps them short. */
export async function openLogFiles (folder: string): Promise<LogFiles> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chmod(folder, 0o700) // it may be of an earlier version
  for (const path of await logsIn(folder)) await rename(path, `${path}.before`)

  let looking: Promise<void> | undefined
  const timer = setInterval(() => {
    looking ??= shorten(folder).finally(() => { looking = undefined })
  }, LOOK_INTERVAL_MS)
  return {
    pathOf: part => join(folder, `${part}.log`),
    close: async () => {
      clearInterval(timer)
      await looking
    }
  }
}

async function logsIn (folder: string): Promise<string[]> {
  return (await readdir(folder)).filter(name => name.endsWith('.log')).map(name => join(folder, name))
}

/** The processes keep the file open for appending, so it is copied and truncated. A line may be lost in between. */
async function shorten (folder: string): Promise<void> {
  for (const path of await logsIn(folder)) {
    if ((await stat(path)).size <= LOG_BYTES_MAX) continue
    // a full disk
    await copyFile(path, `${path}.before`).catch(error => { if (fileReason(error) === undefined) throw error })
    await truncate(path)
  }
}

/** The last lines of a log, readable. */
export async function readLastLines (path: string, count: number): Promise<string[]> {
  const text = (await readFrom(path, -TAIL_BYTES)).text
  return text.split('\n').filter(line => line.trim() !== '').slice(-count).map(readableLine)
}

/** A line for people: JSON of a program becomes `warn: the event log is away (connect ECONNREFUSED)`. */
export function readableLine (line: string): string {
  return printable(readable(line)) // clients choose some of it
}

function readable (line: string): string {
  let entry: Record<string, unknown> | null
  try {
    entry = JSON.parse(line)
  } catch {
    return line // PostgreSQL, Kafka and stack traces are not JSON
  }
  if (typeof entry?.msg !== 'string') return line
  const { level, msg, err, time, pid, name, ...rest } = entry
  const cause = (err as { message?: unknown } | undefined)?.message
  const details = Object.entries(rest)
    .filter(([, value]) => value !== undefined && typeof value !== 'object')
    .map(([key, value]) => `${key}=${value}`)
  if (cause !== undefined && cause !== msg) details.push(String(cause))
  return `${level}: ${msg}` + (details.length > 0 ? ` (${details.join(', ')})` : '')
}

/**
 * Shows the lines that are appended to a log until it is closed; closing shows the rest.
 * @param show gets whole lines, readable
 */
export function followLog (path: string, show: (line: string) => void): { close: () => Promise<void> } {
  let position = 0
  let rest = Buffer.alloc(0)
  let looking: Promise<void> | undefined

  async function look (): Promise<void> {
    const size = await stat(path).then(it => it.size, () => 0)
    if (size < position) position = 0 // it was truncated
    if (size === position) return
    const { bytes } = await readFrom(path, position)
    position += bytes.length
    const lines = Buffer.concat([rest, bytes])
    const end = lines.lastIndexOf('\n') + 1
    rest = lines.subarray(end)
    for (const line of lines.subarray(0, end).toString().split('\n')) {
      if (line.trim() !== '') show(readableLine(line))
    }
  }

  const timer = setInterval(() => {
    looking ??= look().finally(() => { looking = undefined })
  }, FOLLOW_INTERVAL_MS)
  return {
    close: async () => {
      clearInterval(timer)
      await looking
      await look()
    }
  }
}

/** @param position first byte; negative: counted from the end */
async function readFrom (path: string, position: number): Promise<{ bytes: Buffer, text: string }> {
  const file = await open(path, 'r').catch(() => undefined) // not written yet
  if (!file) return { bytes: Buffer.alloc(0), text: '' }
  try {
    const { size } = await file.stat()
    const start = position < 0 ? Math.max(0, size + position) : position
    const bytes = Buffer.alloc(Math.max(0, Math.min(size - start, LOG_BYTES_MAX)))
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
    return { bytes: bytes.subarray(0, bytesRead), text: bytes.toString('utf8', 0, bytesRead) }
  } finally {
    await file.close()
  }
}
