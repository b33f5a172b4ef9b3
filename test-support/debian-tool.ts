/** Programs of Debian's packages for tests. */
import { spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { basename } from 'node:path'

/**
 * Why a test that needs a program is skipped; false: it is not. In CI it never is: it fails if the program is missing.
 * @param from the package of the program
 * @param harmless an option without effect
 */
export function skipWithout (program: string, from = basename(program), harmless = '--version'): false | string {
  if (process.env.CI || spawnSync(program, [harmless]).error === undefined) return false
  return `there is no ${basename(program)} here (Debian: apt-get install ${from})`
}

/** Ends a program by SIGTERM, and waits until it has ended. */
export async function endProgram (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}
