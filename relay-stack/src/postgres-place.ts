/**
 * Where the data of PostgreSQL are: in the data folder, unless the user that it runs as can't get there. Root's home is
 * closed to all others on many machines; then a link in the data folder leads to where they are.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, readlinkSync } from 'node:fs'
import { chmod, mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'

import { closedFolder, findOwner, type Say } from './postgres-user.ts'

const OUTSIDE = '/var/lib/relay'

/** Where a link leads to, be there something or not; the path itself where it is none. */
export function followLink (path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return path
  }
}

/**
 * Decides, once for a data folder, where the data are.
 * @param path in the data folder
 * @returns where PostgreSQL can reach them
 */
export async function placePostgres (path: string, say: Say): Promise<string> {
  if (existsSync(path)) return followLink(path)
  const closed = await closedFolder(path, await findOwner(say))
  if (closed === undefined) return path
  await mkdir(OUTSIDE, { recursive: true })
  await chmod(OUTSIDE, 0o755) // whatever our umask
  const outside = join(OUTSIDE, randomUUID())
  say(`PostgreSQL runs as the user postgres, who can't access ${closed}: its data is in ${outside}`)
  await symlink(outside, path)
  return outside
}
