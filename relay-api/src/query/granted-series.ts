/** Series of devices that a caller may see, found once per answer (`granted.ts`). */

/** Series of devices of one zone and type. */
export interface GrantedSeries {
  readonly zone: string
  readonly type: string
  readonly ids: Int32Array
}

/** The series that were found, and when. */
export interface Granted {
  readonly series: readonly GrantedSeries[]
  /** of transactions: series that were added by this one or later ones may be missing */
  readonly position: bigint
}

/** The ids of series as PostgreSQL reads an array. */
export function idsOf ({ series }: Granted): string {
  return `{${series.map(it => it.ids.join()).join()}}`
}
