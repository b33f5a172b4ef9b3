/**
 * Ends the process of a test file that leaves something open, such as a server or a timer, soon after its last test.
 * The runner's `--test-force-exit` ends it at once, before all reports have gone through the pipe: of 212 quick tests
 * it showed 170 to 212, and a failure could lose its name.
 *
 *     node --test --import ./test-support/exit.ts …
 */
import { after } from 'node:test'

/** Reports take milliseconds; a file that leaves nothing open ends before this. */
const AFTER_MS = 2_000

const isTestFile = process.env.NODE_TEST_CONTEXT === 'child-v8'
if (isTestFile) after(() => { setTimeout(() => process.exit(), AFTER_MS).unref() })
