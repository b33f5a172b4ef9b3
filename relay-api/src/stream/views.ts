/** All open views, and which of them a series belongs to. */
import { RelayError, type Database } from 'relay-common'

import { kindCondition, seriesCondition } from '../parameters/selection.ts'
import { groupColumn, readsDeviceSeries } from '../query/groups.ts'
import { nameOf, View, type ViewQuery, type ViewSeries } from './view.ts'

export class Views {
  readonly #database: Database
  readonly #views = new Map<string, { readonly view: View, readonly filled: Promise<void> }>()
  readonly #bySeries = new Map<number, Set<View>>()
  /** series that every open view was offered */
  readonly #known = new Set<number>()

  constructor (database: Database) {
    this.#database = database
  }

  [Symbol.iterator] (): Iterator<View> {
    return [...this.#views.values()].map(it => it.view)[Symbol.iterator]()
  }

  of (seriesId: number): Iterable<View> {
    return this.#bySeries.get(seriesId) ?? []
  }

  /** The view of a query, with all existing series. It stays until `drop`. */
  async open (query: ViewQuery): Promise<View> {
    const name = nameOf(query)
    let entry = this.#views.get(name)
    if (!entry) {
      // the view is registered before its series are read, so that a commit reports one that is added meanwhile
      const view = new View(query)
      entry = { view, filled: this.#fill(view) }
      this.#views.set(name, entry)
    }
    try {
      await entry.filled
    } catch (error) {
      this.drop(entry.view)
      throw error
    }
    return entry.view
  }

  has (view: View): boolean {
    return this.#views.get(nameOf(view.query))?.view === view
  }

  drop (view: View): void {
    if (!this.has(view)) return
    this.#views.delete(nameOf(view.query))
    for (const id of view.seriesIds) {
      const views = this.#bySeries.get(id)
      views?.delete(view)
      if (views?.size === 0) this.#bySeries.delete(id)
    }
  }

  /**
   * Clears the views and looks up their series again: ids of series belong to one history of the database.
   * @returns views with too many series now
   */
  async renew (): Promise<View[]> {
    this.#bySeries.clear()
    this.#known.clear()
    const refused: View[] = []
    for (const entry of this.#views.values()) {
      entry.view.forget()
      try {
        await this.#fill(entry.view)
      } catch (error) {
        if ((error as RelayError).code !== 'RELAY_TOO_MANY_POINTS') throw error
        refused.push(entry.view)
      }
    }
    return refused
  }

  /** Looks up new series, and adds them to the views that select them. */
  async learn (seriesIds: ReadonlySet<number>): Promise<void> {
    const unknown = [...seriesIds].filter(it => !this.#known.has(it))
    if (unknown.length === 0) return
    const found = await this.#read('series_id = any($1)', [unknown])
    const views = [...this]
    for (const series of found) {
      for (const view of views) this.#offer(view, series)
    }
    if (this.#known.size > KNOWN_MAX) this.#known.clear() // they are looked up again
    for (const id of unknown) this.#known.add(id)
  }

  async #fill (view: View): Promise<void> {
    const values: unknown[] = []
    const { devices } = view.query.selection
    const kind = kindCondition(
      readsDeviceSeries(view.query.selection, view.query.groupBy) ? 'devices' : 'groups', devices.length > 0
    )
    const condition = `${kind} and ${seriesCondition(view.query.selection, values)}`
    await this.#refuseMany(view.query, condition, values)
    // rows are handled as they arrive, so that nothing else waits for all of them
    await this.#database.streamPrepared(`series of a view where ${condition}`, `
      select series_id, device_id, zone, device_type from series s where ${condition} limit ${SERIES_MAX}`, values, columns => {
      const [seriesId, deviceId, zone, deviceType] = columns as [number, string | null, string, string]
      this.#offer(view, { seriesId, deviceId, zone, deviceType })
    })
  }

  /** Counts first, so that a refused view needs no memory. */
  async #refuseMany ({ groupBy }: ViewQuery, condition: string, values: unknown[]): Promise<void> {
    const [{ series, groups }] = await this.#database.query<{ series: number, groups: number }>(`
      select count(*)::integer as series, count(distinct ${groupColumn(groupBy)})::integer as groups
      from (select * from series s where ${condition} limit ${SERIES_MAX}) s`, values)
    if (groups > GROUPS_MAX) {
      throw new RelayError('RELAY_TOO_MANY_POINTS',
        `a stream may have at most ${GROUPS_MAX} groups; select fewer, or group differently`)
    }
    if (series >= SERIES_MAX) {
      throw new RelayError('RELAY_TOO_MANY_POINTS',
        `a stream may have at most ${SERIES_MAX} series; select fewer devices, zones or types`)
    }
  }

  #offer (view: View, series: ViewSeries): void {
    if (!view.take(series)) return
    const views = this.#bySeries.get(series.seriesId) ?? new Set()
    this.#bySeries.set(series.seriesId, views.add(view))
  }

  async #read (condition: string, values: unknown[]): Promise<ViewSeries[]> {
    return await this.#database.query<ViewSeries & { seriesId: number }>(`
      select series_id as "seriesId", device_id as "deviceId", zone, device_type as "deviceType"
      from series s where ${condition}`, values)
  }
}

/** a view with more groups would fill any buffer */
const GROUPS_MAX = 1_000
/** about 20 MB */
const SERIES_MAX = 100_000
/** about 40 MB */
const KNOWN_MAX = 1_000_000
