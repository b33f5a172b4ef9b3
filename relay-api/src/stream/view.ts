/**
 * A view: shared by all clients with the same query, so that their data is read and rendered once.
 *
 * It knows its series by group. It finds them in the table when it opens, and later in the commits that name them.
 */
import { mayDevice, mayZone } from 'relay-access'
import { levels, type Level } from 'relay-rollups'

import type { Selection } from '../parameters/selection.ts'
import { readsDeviceSeries } from '../query/groups.ts'
import type { GroupBy } from '../query/group-by.ts'
import type { ClientConnection } from './client-connection.ts'

export interface ViewQuery {
  readonly selection: Selection
  readonly levelIndex: number
  /** undefined: one group for the whole selection */
  readonly groupBy: GroupBy | undefined
}

export interface ViewSeries {
  readonly seriesId: number
  /** null: the group of all devices of that zone and type */
  readonly deviceId: string | null
  readonly zone: string
  readonly deviceType: string
}

export class View {
  readonly query: ViewQuery
  readonly level: Level
  readonly clients = new Set<ClientConnection>()
  /** by name of the group; '' for the only one */
  readonly groups = new Map<string, Set<number>>()
  /** last data sent per window, so that a commit without changes to it sends nothing */
  readonly #sent = new Map<string, string>()

  constructor (query: ViewQuery) {
    this.query = query
    this.level = levels[query.levelIndex]
  }

  get seriesIds (): number[] {
    return [...this.groups.values()].flatMap(it => [...it])
  }

  /** Adds a series if it is selected. @returns whether it is */
  take (series: ViewSeries): boolean {
    if (!isSelected(this.query, series)) return false
    const name = groupOf(this.query, series)
    const ids = this.groups.get(name) ?? new Set()
    this.groups.set(name, ids.add(series.seriesId))
    return true
  }

  /** Forgets its series, and what was sent. */
  forget (): void {
    this.groups.clear()
    this.#sent.clear()
  }

  /** Notes the data of a window. @returns whether it differs from the last data sent */
  note (windowName: string, text: string): boolean {
    if (this.#sent.get(windowName) === text) return false
    if (this.#sent.size >= SENT_MAX) this.#sent.clear()
    this.#sent.set(windowName, text)
    return true
  }
}

/** above this, all are forgotten, and the next commit sends some windows that did not change */
const SENT_MAX = 5_000

/** Equal queries have equal names. */
export function nameOf (query: ViewQuery): string {
  return JSON.stringify(query)
}

function isSelected (query: ViewQuery, { deviceId, zone, deviceType }: ViewSeries): boolean {
  const { devices, zones, types, grants } = query.selection
  if ((deviceId !== null) !== readsDeviceSeries(query.selection, query.groupBy)) return false
  const isOneOf = (names: readonly string[], name: string) => names.length === 0 || names.includes(name)
  return isOneOf(zones, zone) && isOneOf(types, deviceType) && mayZone(grants, zone) &&
    (deviceId === null || (isOneOf(devices, deviceId) && mayDevice(grants, deviceId)))
}

function groupOf ({ groupBy }: ViewQuery, { deviceId, zone, deviceType }: ViewSeries): string {
  switch (groupBy) {
    case 'device': return deviceId!
    case 'zone': return zone
    case 'type': return deviceType
    case undefined: return ''
  }
}
