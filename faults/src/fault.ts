import type { Chance } from '../../test-support/chance.ts'
import type { Site } from './site.ts'

/** A kind of fault that is made to happen to a site under load. One file each, in `cases/`. */
export interface Fault {
  /** how the command line names it */
  readonly name: string
  /** what is done, for people */
  readonly title: string
  /** without so many brokers it can't happen; default: one */
  readonly brokersMin?: number
  /**
   * Makes it happen, again and again while `span` lasts, at least once. Resolves when everything is there again, with
   * nothing left of the fault.
   */
  happen (site: Site, chance: Chance, span: Span): Promise<Outcome>
}

/** How long faults are made. */
export interface Span {
  readonly isOver: boolean
}

export interface Outcome {
  /** how often it happened */
  readonly times: number
  /** promises that were broken, beside those about events and rows */
  readonly broken?: readonly string[]
  /** what was measured, for people: `slowest exit 1.2 s` */
  readonly note?: string
}
