/** Groups of an answer: one per device, zone or type. */

export type GroupBy = 'device' | 'zone' | 'type'

export const groupBys: readonly GroupBy[] = ['device', 'zone', 'type']

export interface Group {
  /** name of the device, zone or type; empty: the single group of all */
  readonly key: string
  /** number of its series with rows */
  readonly seriesCount: number
}
