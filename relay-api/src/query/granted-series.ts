/** Series of devices that a caller may see, found once per answer (`granted.ts`). */

/** Series of devices of one zone and type. */
export interface GrantedSeries {
  readonly zone: string
  readonly type: string
  readonly ids: Int32Array
}

/** The found series, and their moment. */
export interface Granted {
  readonly series: readonly GrantedSeries[]
  /** position of a transaction: series added by it or later ones may be missing */
  readonly position: bigint
}

/** The ids of series as a PostgreSQL array. */
export function idsOf ({ series }: Granted): string {
  return `{${series.map(it => it.ids.join()).join()}}`
}
