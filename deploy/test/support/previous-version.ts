/**
 * The version before the newest migration, with its own sources and the packages of this one, so that its programs can
 * run beside those of this version.
 *
 *     folder/relay-*            sources of that commit
 *     folder/node_modules/*     links to the packages of this version; workspaces are links to the sources above
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'

import { ROOT } from './dockerfile.ts'

const run = promisify(execFile)
const MIGRATIONS = 'relay-common/migrations'

export interface PreviousVersion {
  readonly commit: string
  readonly folder: string
}

/** @returns undefined without the history of the repository; then the test is skipped with a message */
export async function layOutPreviousVersion (t: TestContext): Promise<PreviousVersion | undefined> {
  const commit = await findCommit()
  if (commit === undefined) {
    t.skip('needs git, and the history of this repository back to its newest migration')
    return undefined
  }
  const folder = await mkdtemp(join(tmpdir(), 'relay-previous-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const archive = spawn('git', ['archive', commit], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  const unpack = spawn('tar', ['--extract', '--directory', folder], { stdio: ['pipe', 'inherit', 'inherit'] })
  archive.stdout.pipe(unpack.stdin!)
  const [[code]] = await Promise.all([once(unpack, 'exit'), once(archive, 'exit')])
  if (code !== 0) throw new Error(`tar ended with ${code}`)
  await linkPackages(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const workspace of await readdir(folder)) {
    const packages = join(ROOT, workspace, 'node_modules')
    if (existsSync(packages)) await symlink(packages, join(folder, workspace, 'node_modules'))
  }
  return { commit, folder }
}

/** The commit before the one that brought the newest migration. */
async function findCommit (): Promise<string | undefined> {
  try {
    const git = async (...args: string[]) => (await run('git', args, { cwd: ROOT })).stdout.trim()
    const newest = await git('log', '--diff-filter=A', '--format=%H', '-1', '--', MIGRATIONS)
    return await git('rev-parse', '--verify', `${newest}^`)
  } catch {
    return undefined
  }
}

/** Links of workspaces are relative, so that they point to the sources beside them. */
async function linkPackages (from: string, to: string): Promise<void> {
  await mkdir(to)
  for (const it of await readdir(from, { withFileTypes: true })) {
    if (it.name.startsWith('@')) await linkPackages(join(from, it.name), join(to, it.name))
    else if (it.isSymbolicLink()) await symlink(await readlink(join(from, it.name)), join(to, it.name))
    else await symlink(join(from, it.name), join(to, it.name))
  }
}
