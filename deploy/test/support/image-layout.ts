/**
 * What an image holds, laid out in a folder without an engine: COPY copies, RUN runs npm and find. Of the base image it
 * takes nothing, so Node is the one that runs the tests.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after } from 'node:test'
import { promisify } from 'node:util'

import { ROOT, stages, stepsOf, type Step } from './dockerfile.ts'

const run = promisify(execFile)
const NPM_TIMEOUT_MS = 240_000

/**
 * Lays the image of a target out.
 * @returns the folder that stands for its working directory; it is gone after the test file
 */
export async function layOutImage (target: string): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), 'relay-image-'))
  after(() => rm(scratch, { recursive: true, force: true }))
  const folders = new Map<string, string>()

  const layOutStage = async (name: string): Promise<string> => {
    const known = folders.get(name)
    if (known !== undefined) return known
    const folder = join(scratch, name)
    folders.set(name, folder)
    await mkdir(folder)
    for (const step of stepsOf(name)) {
      if (step.keyword === 'COPY' && !step.args[0].startsWith('/usr/')) { // Node: the one that runs the tests does
        const from = step.flags.from === undefined ? ROOT : await layOutStage(step.flags.from!)
        await copy(step, from, folder)
      }
      if (step.keyword === 'RUN') await runStep(step, folder)
    }
    return folder
  }
  if (!stages.has(target)) throw new Error(`no stage ${target}`)
  return await layOutStage(target)
}

/** A folder's content goes into the destination; a file goes into it where it ends in a slash, else becomes it. */
async function copy ({ args }: Step, from: string, folder: string): Promise<void> {
  const destination = args.at(-1)!
  for (const source of args.slice(0, -1)) {
    const isWhole = source === '/relay' // the working directory of another stage
    const name = destination.endsWith('/') && !isWhole ? join(destination, basename(source)) : destination
    await cp(isWhole ? from : join(from, source), join(folder, name), { recursive: true, verbatimSymlinks: true })
  }
}

async function runStep ({ args }: Step, folder: string): Promise<void> {
  const [command, ...rest] = args
  const options = { cwd: folder, timeout: NPM_TIMEOUT_MS }
  if (command === 'npm') await run('npm', [...rest, '--prefer-offline'], options)
  else if (command === 'find') await run('find', rest, options)
  else if (!['install', 'groupadd'].includes(command)) throw new Error(`this layout does not run ${command}`)
  // those make folders and users outside of the working directory
}
