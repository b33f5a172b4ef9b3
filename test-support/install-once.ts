/** Tools that tests and benchmarks bring to this machine once, from a package registry, into `.relay`. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const runFile = promisify(execFile)

/** Runs a program to its end. @throws Error with what it wrote */
export async function run (command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  try {
    const { stdout } = await runFile(command, args, { maxBuffer: 64 * 2 ** 20, env: { ...process.env, ...env } })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string, stderr?: string }
    throw new Error(`${message}\n${stdout}\n${stderr}`)
  }
}

export async function isFine (command: string, args: readonly string[]): Promise<boolean> {
  return await run(command, args).then(() => true, () => false)
}

/**
 * The folder `.relay/<name>`; where there is none, it is filled. It gets its name when it is filled.
 * @param name of the tool and its version, e.g. `helm/v3.22.0`
 */
export async function installOnce (name: string, install: (folder: string) => Promise<unknown>): Promise<string> {
  const folder = fileURLToPath(new URL(`../.relay/${name}`, import.meta.url))
  if (existsSync(folder)) return folder
  await mkdir(dirname(folder), { recursive: true })
  const scratch = await mkdtemp(join(dirname(folder), 'fetching-'))
  try {
    await install(scratch).catch(() => install(scratch)) // a registry may fail once
    await rename(scratch, folder)
  } catch (error) {
    await rm(scratch, { recursive: true, force: true })
    if (!existsSync(folder)) throw error // else somebody else was faster
  }
  return folder
}

/**
 * The same for what a list names, such as requirements.txt. Another list is another folder.
 * @param kind the folder of `.relay` that has the folder
 */
export async function installList (
  kind: string, list: URL, install: (file: string, folder: string) => Promise<unknown>
): Promise<string> {
  const hash = createHash('sha256').update(await readFile(list)).digest('hex').slice(0, 16)
  return await installOnce(`${kind}/${hash}`, folder => install(fileURLToPath(list), folder))
}

/** @param what packages, or `--requirement` and a file with them */
export async function pipInstall (what: readonly string[], folder: string): Promise<void> {
  const options = ['--quiet', '--disable-pip-version-check', '--no-compile', '--target', folder]
  await run('python3', ['-m', 'pip', 'install', ...options, ...what])
}
