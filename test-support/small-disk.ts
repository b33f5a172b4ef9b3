/** A disk of its own, small enough to be filled: a tmpfs, which only root of Linux may mount. */
import { execFile, execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm, rmdir, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface SmallDisk {
  readonly path: string
  /** Takes all the room that is left. @returns what gives it back */
  fill (): Promise<() => Promise<void>>
  close (): Promise<void>
}

/** Why this machine can't have one; false: it can. */
export function whyNoSmallDisk (): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'that needs root of Linux, to mount a tmpfs'
  try { // a container may not, even as root
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()], { stdio: 'ignore' })
    return false
  } catch {
    return 'that needs the right to mount a tmpfs (CAP_SYS_ADMIN)'
  }
}

/** Close it after whatever uses it. */
export async function openSmallDisk (bytes: number): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), 'relay-small-disk-'))
  await chmod(path, 0o755) // root runs PostgreSQL as another user
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=755`, 'tmpfs', path])
  const filler = join(path, 'filler')
  return {
    path,
    async fill () {
      const { bavail, bsize } = await statfs(path)
      if (bavail > 0) await run('fallocate', ['--length', String(bavail * bsize), filler])
      return () => rm(filler, { force: true })
    },
    async close () {
      await run('umount', [path]).catch(() => run('umount', ['--lazy', path]))
      await rmdir(path)
    }
  }
}
