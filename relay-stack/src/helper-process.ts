/** Child processes that only prepare something. */
import type { ChildProcess } from 'node:child_process'

/**
 * Kills a helper when this process exits at once, after a second signal for example. It would end by itself when it
 * notices, but at the lowest priority on a busy machine that takes minutes.
 */
export function endWithUs (helper: ChildProcess): void {
  const kill = () => { helper.kill('SIGKILL') }
  process.once('exit', kill)
  helper.once('exit', () => process.off('exit', kill))
}
