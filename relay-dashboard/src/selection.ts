/** The devices, zones and types of a view: an empty list means all. */

export interface Selection {
  readonly device: readonly string[]
  readonly zone: readonly string[]
  readonly type: readonly string[]
}

export const kinds = ['device', 'zone', 'type'] as const
export type Kind = (typeof kinds)[number]

export const kindLabels = { device: 'Devices', zone: 'Zones', type: 'Types' } as const satisfies Record<
  Kind,
  string
>

export function parseSelection (query: URLSearchParams): Selection {
  return { device: query.getAll('device'), zone: query.getAll('zone'), type: query.getAll('type') }
}

/** As parameters of the API. */
export function selectionQuery ({ device, zone, type }: Selection): {
  device?: string[]
  zone?: string[]
  type?: string[]
} {
  return {
    ...(device.length === 0 ? {} : { device: [...device] }),
    ...(zone.length === 0 ? {} : { zone: [...zone] }),
    ...(type.length === 0 ? {} : { type: [...type] })
  }
}
