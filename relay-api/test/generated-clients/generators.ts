/**
 * Client generators, installed once on this machine:
 *
 *     requirements.txt --pip-->    .relay/generators/<hash of it>/
 *     pom.xml          --Maven-->  .relay/generators/<hash of it>/
 *
 * A folder is renamed when it is complete. Run directly, this installs both: `npm exec -- node …/generators.ts`.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const runFile = promisify(execFile)

/** Runs a program to its end. @throws Error with its output */
export async function run (command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  try {
    const { stdout } = await runFile(command, args, { maxBuffer: 16 * 2 ** 20, env: { ...process.env, ...env } })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string, stderr?: string }
    throw new Error(`${message}\n${stdout}\n${stderr}`)
  }
}

export interface Generator {
  readonly name: string
  /** @returns what is missing on this machine; undefined: nothing */
  findMissing (): Promise<string | undefined>
  /** @returns the folder with the generator and the dependencies of its clients */
  install (): Promise<string>
}

const PYTHON_CHECK = 'import pip, sys; sys.exit(sys.version_info < (3, 11))'

export const pythonGenerator: Generator = {
  name: 'openapi-python-client',
  findMissing: async () => await isFine('python3', ['-c', PYTHON_CHECK]) ? undefined : 'Python 3.11 or newer, and pip',
  install: () => fill('requirements.txt', async (list, folder) => {
    await run('python3', [
      '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-compile', '--target', folder,
      '--requirement', list
    ])
  })
}

export const javaGenerator: Generator = {
  name: 'openapi-generator',
  findMissing: async () => await isFine('javac', ['--release', '17', '--version']) && await isFine('mvn', ['--version'])
    ? undefined
    : 'a JDK 17 or newer, and Maven',
  install: () => fill('pom.xml', async (pom, folder) => {
    await run(
      'mvn', ['--batch-mode', '--quiet', '--file', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`]
    )
  })
}

const cacheDir = fileURLToPath(new URL('../../../.relay/generators', import.meta.url))

async function fill (list: string, install: (list: string, folder: string) => Promise<void>): Promise<string> {
  const file = fileURLToPath(new URL(list, import.meta.url))
  const folder = join(cacheDir, createHash('sha256').update(await readFile(file)).digest('hex').slice(0, 16))
  if (existsSync(folder)) return folder
  await mkdir(cacheDir, { recursive: true })
  const scratch = await mkdtemp(join(cacheDir, 'fetching-'))
  try {
    await install(file, scratch).catch(() => install(file, scratch)) // a registry may fail once
    await rename(scratch, folder)
  } catch (error) {
    await rm(scratch, { recursive: true, force: true })
    if (!existsSync(folder)) throw error // otherwise somebody else was faster
  }
  return folder
}

async function isFine (command: string, args: readonly string[]): Promise<boolean> {
  return await run(command, args).then(() => true, () => false)
}

if (import.meta.main) await Promise.all([pythonGenerator, javaGenerator].map(it => it.install()))
