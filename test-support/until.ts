import { setTimeout as delay } from 'node:timers/promises'

/**
 * Waits for a condition.
 * @param what completes "waited … for"; a function is called at the end of the time, and may add what was seen
 * @throws after the limit
 */
export async function until (
  what: string | (() => string), condition: () => boolean | Promise<boolean>, limitMs = 60_000
): Promise<void> {
  for (const deadlineMs = Date.now() + limitMs; !await condition(); await delay(20)) {
    if (Date.now() > deadlineMs) throw new Error(`waited ${limitMs} ms for ${typeof what === 'string' ? what : what()}`)
  }
}
