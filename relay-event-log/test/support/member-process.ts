import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import type { ConsumerSettings } from '../../src/port.ts'

/** An event reported by a member. */
export interface Said { readonly kind: string, readonly partitions?: readonly number[] }

/**
 * Starts a member of a group as a process (`event-log-member.ts`), which ends with the test.
 * @param log how the process opens the log: the URL of a module, the name of its function, and its argument
 */
export function startMemberProcess (
  t: TestContext, log: { module: string, name: string, settings: unknown }, consumer: ConsumerSettings
) {
  const script = fileURLToPath(new URL('./event-log-member.ts', import.meta.url))
  const child = spawn(process.execPath,
    [script, log.module, log.name, JSON.stringify(log.settings), JSON.stringify(consumer)],
    { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => { child.kill('SIGKILL') })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    /** The next event, except `idle`. */
    async next (): Promise<Said> {
      for (;;) {
        const { value, done } = await lines.next()
        assert.ok(!done, 'the member ended')
        const said: Said = JSON.parse(value)
        if (said.kind !== 'idle') return said
      }
    },
    signal: (name: NodeJS.Signals) => child.kill(name)
  }
}
