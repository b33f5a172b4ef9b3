/**
 * The user of PostgreSQL, which refuses to run as root: root runs it as the system user `postgres`, with access only to
 * its own data and the way there.
 */
import { execFile } from 'node:child_process'
import { chmod, chown, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

import { RelayError } from 'relay-common'

const run = promisify(execFile)

/** the user of the server; empty: ours */
export interface Owner { readonly uid?: number, readonly gid?: number }

export type Say = (line: string) => void

let owner: Promise<Owner> | undefined

/**
 * Finds that user. Root creates a missing one, and reports it.
 * @throws RelayError RELAY_CONFIG_INVALID if it can't be created
 */
export function findOwner (say: Say): Promise<Owner> {
  return process.getuid?.() === 0 ? (owner ??= findPostgresUser(say)) : Promise.resolve({})
}

async function findPostgresUser (say: Say): Promise<Owner> {
  const isThere = await run('id', ['postgres']).then(() => true, () => false)
  if (!isThere) {
    say('PostgreSQL refuses to run as root: creating the system user postgres for it')
    await run('useradd', ['--system', '--user-group', '--no-create-home', 'postgres']).catch(cause => {
      const { stderr, message } = cause as Error & { stderr?: string }
      throw new RelayError('RELAY_CONFIG_INVALID', 'PostgreSQL refuses to run as root, and the user postgres could ' +
        `not be created (${stderr?.trim() || message}): create it, or start Relay as another user`, { cause })
    })
  }
  const id = async (flag: string) => Number((await run('id', [flag, 'postgres'])).stdout)
  return { uid: await id('-u'), gid: await id('-g') }
}

/**
 * Lets that user pass through a closed folder, and no more, because it must not replace files that root writes beside
 * the data.
 */
export async function letThrough (folder: string, { gid }: Owner): Promise<void> {
  if (gid === undefined) return
  await chown(folder, process.getuid!(), gid)
  await chmod(folder, 0o710)
}

/** The parent of a path that is closed to the user; undefined: none. */
export async function closedFolder (path: string, owner: Owner): Promise<string | undefined> {
  if (owner.uid === undefined) return undefined
  let closed: string | undefined
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder)
    const search = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001
    if ((mode & search) === 0) closed = folder
  }
  return closed
}
