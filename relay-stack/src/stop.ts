/** `npm stop`: asks the stack of a data folder to stop, and waits for it. */
import { existsSync, realpathSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

import { RelayError } from 'relay-common'

import { describeStackOn, isHeldElsewhere, isStopping, stackOn } from './data-dir.ts'
import { explainFileError } from './file-error.ts'
import { parseFolder } from './options.ts'

/** A stack kills itself after 45 s. */
const STOP_TIMEOUT_MS = 60_000
const POLL_MS = 50

const folder = parseFolder(process.argv.slice(2), process.env, process.env.INIT_CWD ?? process.cwd())
try {
  process.exitCode = await stop(existsSync(folder) ? realpathSync(folder) : folder)
} catch (error) {
  const explained = explainFileError(error, `the data folder ${folder}`, '--data-dir')
  if (!(explained instanceof RelayError)) throw error
  console.error(explained.message)
  process.exitCode = 1
}

async function stop (path: string): Promise<number> {
  const pid = stackOn(path)
  if (pid === undefined) {
    if (existsSync(path) && isHeldElsewhere(path)) {
      console.error(`the stack on ${path} runs ${describeStackOn(path)}; stop it there`)
      return 1
    }
    console.log(`no stack is running on ${path}; set another folder with RELAY_DATA_DIR or --data-dir`)
    return 0
  }
  try {
    if (!isStopping(path)) process.kill(pid, 'SIGTERM') // a second signal would kill it
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EPERM') {
      throw new RelayError('RELAY_CONFIG_INVALID', `the stack on ${path} (process ${pid}) is another user's`)
    }
    if (code !== 'ESRCH') throw error // it has ended meanwhile
  }
  for (const deadline = performance.now() + STOP_TIMEOUT_MS; stackOn(path) === pid;) {
    if (performance.now() > deadline) {
      console.error(`the stack on ${path} (process ${pid}) did not stop within ${STOP_TIMEOUT_MS / 1_000} s`)
      return 1
    }
    await delay(POLL_MS)
  }
  console.log(`the stack on ${path} stopped`)
  return 0
}
