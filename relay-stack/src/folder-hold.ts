/**
 * A lock of the kernel on a data folder. Process ids only identify processes of one container; two containers that
 * share a volume share its kernel (or its virtual machine's), which knows one lock per open file.
 *
 *     open folder ──flock──▶ held by the open file ──▶ inherited by PostgreSQL and Kafka ──the last one ends──▶ free
 *
 * So the folder stays held while a server of a killed stack still writes there, in whatever container.
 *
 * Node has no call for it. The program `flock` of util-linux and BusyBox locks the open file that it inherits, which is
 * also ours. Without that program, as on macOS, and on file systems without locks only process ids protect the folder.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'

export interface FolderHold {
  /** for processes that use the folder; undefined: nothing holds it */
  readonly fd?: number
  close (): void
}

const HELD = 1

/** @returns undefined: another process holds the folder */
export function holdFolder (path: string): FolderHold | undefined {
  const fd = openSync(path, 'r') // no FileHandle, which the garbage collector may close
  const { status, stderr } = spawnSync('flock', ['-n', '-x', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', fd], encoding: 'utf8'
  })
  if (status === 0) return { fd, close: () => closeSync(fd) }
  closeSync(fd)
  return status === HELD && stderr === '' ? undefined : { close: () => {} }
}
