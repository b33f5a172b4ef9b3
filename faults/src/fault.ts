import type { Chance } from 'relay-test-support/chance.ts'
import type { Site } from './site.ts'

/** A kind of fault on a site under load. One file each, in `cases/`. */
export interface Fault {
  /** name on the command line */
  readonly name: string
  /** description for people */
  readonly title: string
  /** required number of brokers; default: one */
  readonly brokersMin?: number
  /**
   * Causes the fault repeatedly during `span`, at least once. Resolves when everything runs again and nothing is left
   * of the fault.
   */
  happen (site: Site, chance: Chance, span: Span): Promise<Outcome>
}

/** Duration of faults. */
export interface Span {
  readonly isOver: boolean
}

export interface Outcome {
  /** number of occurrences */
  readonly times: number
  /** broken promises, besides those about events and rows */
  readonly broken?: readonly string[]
  /** a measurement for people: `slowest exit 1.2 s` */
  readonly note?: string
}
