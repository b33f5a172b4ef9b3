/**
 * Location of PostgreSQL's data: the data folder, unless its user can't enter it. Root's home is closed to others on
 * many machines; then a link in the data folder leads to another location.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, readlinkSync } from 'node:fs'
import { chmod, mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'

import { closedFolder, findOwner, type Say } from './postgres-user.ts'

const OUTSIDE = '/var/lib/relay'

/** Target of a link, existing or not; the path itself if it is not a link. */
export function followLink (path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return path
  }
}

/**
 * Decides, once per data folder, where the data are.
 * @param path in the data folder
 * @returns a path that PostgreSQL can reach
 */
export async function placePostgres (path: string, say: Say): Promise<string> {
  if (existsSync(path)) return followLink(path)
  const closed = await closedFolder(path, await findOwner(say))
  if (closed === undefined) return path
  await mkdir(OUTSIDE, { recursive: true })
  await chmod(OUTSIDE, 0o755) // whatever the umask
  const outside = join(OUTSIDE, randomUUID())
  say(`PostgreSQL runs as the user postgres, who can't access ${closed}: its data is in ${outside}`)
  await symlink(outside, path)
  return outside
}
