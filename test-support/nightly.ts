/**
 * Tests that run every night instead of at every change: further cases of a kind of which one case always runs. Each
 * costs tens of seconds. RELAY_NIGHTLY=true runs them too; the workflow `nightly.yml` sets it.
 */

/** Each run draws other cases, so what one change does not try, another one does. */
const RUNS_PART = 4

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
  },
  'image-of-the-api': {
    file: 'deploy/test/image.test.ts',
    adds: 'the image of the API; dockerfile.test.ts checks at every change that it copies the packages it imports',
    always: ': its image has all it needs to run'
  },
  'image-of-the-simulator': {
    file: 'deploy/test/image.test.ts',
    adds: 'the image of the simulator, likewise',
    always: ': its image has all it needs to run'
  },
  'backlog-read-by-kafka-streams': {
    file: 'bench/test/processor.test.ts',
    adds: 'the benchmark of Kafka Streams',
    always: 'a compressed backlog is read to its end by the processor and a plain consumer'
  }
} as const satisfies Readonly<Record<string, NightlyTest>>

export const isNight = process.env.RELAY_NIGHTLY === 'true'

/** How often a property is tried: the full number at night, a part of it at every change. */
export function runs (full: number): { readonly numRuns: number } {
  return { numRuns: isNight ? full : Math.ceil(full / RUNS_PART) }
}

export type NightlyName = keyof typeof nightlyTests

/** Options of a nightly test. */
export function nightly (name: NightlyName): { readonly skip: false | string } {
  return { skip: isNight ? false : `runs every night: ${nightlyTests[name].adds}` }
}
