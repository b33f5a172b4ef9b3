/**
 * Tests that run every night instead of at every change: further cases of a kind of which one case always runs. Each
 * costs tens of seconds. RELAY_NIGHTLY=true runs them too; the workflow `nightly.yml` sets it.
 */

export interface NightlyTest {
  readonly file: string
  /** what the test adds to those of every change */
  readonly adds: string
  /** part of the title of a test of the same kind that runs at every change, in the same file */
  readonly always: string
}

export const nightlyTests = {
  'canary-promoted-on-postgres': {
    file: 'relay-cli/test/deploy.test.ts',
    adds: 'a good canary with the event log in PostgreSQL',
    always: 'a good canary is promoted by its analysis'
  },
  'canary-aborted-on-kafka': {
    file: 'relay-cli/test/deploy.test.ts',
    adds: 'a canary with wrong sums with the event log in Kafka',
    always: 'a canary with wrong sums is aborted by its analysis'
  },
  'canary-slow': {
    file: 'relay-cli/test/deploy.test.ts',
    adds: 'a canary that needs more CPU for an event, whose verdict verdict.test.ts checks at every change',
    always: 'a canary with the fault'
  },
  'canary-loses-readings': {
    file: 'relay-cli/test/deploy.test.ts',
    adds: 'a canary that loses readings; rows that differ otherwise are found at every change',
    always: 'a canary with the fault'
  }
} as const satisfies Readonly<Record<string, NightlyTest>>

export type NightlyName = keyof typeof nightlyTests

/** Options of a nightly test. */
export function nightly (name: NightlyName): { readonly skip: false | string } {
  return { skip: process.env.RELAY_NIGHTLY === 'true' ? false : `runs every night: ${nightlyTests[name].adds}` }
}
