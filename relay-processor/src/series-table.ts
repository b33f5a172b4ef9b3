/**
 * The series of one source partition, found by the bytes of device, type and zone in a record, without strings in the
 * hot path. Open addressing with linear probing. The hash covers all three, so that a device in 20,000 zones gets as
 * many slots. It is keyed, so that nobody can choose names that collide (`keyed-hash.ts`).
 */
import { HOUR_MS, MINUTE_MS, type Names } from 'relay-rollups'

import { HASHED_BYTES_MAX, HashKeys } from './keyed-hash.ts'
import { KnownHeads } from './known-heads.ts'
import { homeOf, type Homes } from './home.ts'
import { createWindows, type RowOwner, type Windows } from './windows.ts'

/** What one device of one type sends from one zone; without a device, the group of that zone and type. */
export interface Series {
  /** index of a device in the table (`at`); -1 for a group */
  index: number
  /** number of known heads of its records */
  headCount: number
  /** id in the database; 0 until a flush has assigned one */
  seriesId: number
  readonly deviceId: string | null
  readonly deviceType: string
  readonly zone: string
  /** the group in which readings of a device also count; undefined for a group */
  readonly group: Series | undefined
  /** the partition in which its readings count, if it is not this table's */
  readonly homePartition: number | undefined
  /** the partition in which its readings count; for a group, ALL_PARTITIONS */
  readonly idsOf: number
  /** newest event time that the database may have of this series: later readings are no duplicates */
  settledMaxMs: number
  /** value at that time, the greatest of several; NaN: unknown */
  settledMaxValue: number
  /**
   * Newest event time that the rows of this series may have, while the journal may have newer ones. A window that
   * starts later is new and empty; any other that is not in memory must be read back.
   */
  rowsMaxMs: number
  readonly windows: Windows
  /** the last flush with readings of it */
  lastFlush: number
}

/** Groups have rows of all partitions. */
export const ALL_PARTITIONS = -1

/** The bytes of a record that name a series. */
export interface SeriesKey {
  readonly buffer: Uint8Array
  readonly deviceIdStart: number
  readonly deviceIdEnd: number
  readonly deviceTypeStart: number
  readonly deviceTypeEnd: number
  readonly zoneStart: number
  readonly zoneEnd: number
}

interface Slot {
  readonly hash: number
  /** device, type and zone, concatenated */
  readonly key: Uint8Array
  readonly deviceLength: number
  readonly typeLength: number
  readonly series: Series
}

const SLOTS_MIN = 1024 // a power of two: the mask of the hash
const LOAD_MAX = 0.5

/**
 * A device is idle after this time without a reading, in event time. Idle devices are looked for as often, also in
 * event time.
 */
const IDLE_MS = HOUR_MS
const IDLE_CHECK_MS = 10 * MINUTE_MS

const encoder = new TextEncoder()

export class SeriesTable {
  #slots: Array<Slot | undefined> = new Array(SLOTS_MIN)
  readonly #hashKeys = new HashKeys()
  #devices: Series[] = []
  /** of records of devices in the table */
  heads = new KnownHeads()
  readonly #groups = new Map<string, Series>()
  readonly #byId = new Map<number, Series>()
  /** newest event time that the database may have of series that are not in memory */
  #forgottenMaxMs: number
  #idleCheckedMs = -Infinity
  readonly #partition: number
  readonly #homes: Homes

  /**
   * @param partition the source of the records
   * @param settledMaxMs newest event time that any partition may have settled of its devices; -Infinity: none
   */
  constructor (partition: number, homes: Homes, settledMaxMs: number) {
    this.#partition = partition
    this.#homes = homes
    this.#forgottenMaxMs = Math.max(settledMaxMs, homes.horizonMs)
  }

  get size (): number { return this.#devices.length }

  /**
   * Registers series with new ids for `ownerOf`.
   * @returns whether their ids are unique: after a restore the database may assign one again
   */
  noteIds (series: Iterable<Series>): boolean {
    let areTheirs = true
    for (const it of series) {
      const known = this.#byId.get(it.seriesId)
      if (known !== undefined && known !== it) areTheirs = false
      this.#byId.set(it.seriesId, it)
    }
    return areTheirs
  }

  /** A series by its id, or a placeholder if it is not in memory. */
  ownerOf (seriesId: number): RowOwner {
    return this.#byId.get(seriesId) ?? { seriesId, rowsMaxMs: this.#forgottenMaxMs, windows: createWindows() }
  }

  /** A device series by its index. */
  at (index: number): Series { return this.#devices[index] }

  /** Hot: the device series with these bytes; undefined: not in memory. */
  find (key: SeriesKey): Series | undefined {
    if (sizeOf(key) > HASHED_BYTES_MAX) return undefined // no name in the table is as long
    const hash = this.#hashOf(key)
    const slots = this.#slots
    const mask = slots.length - 1
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const slot = slots[at]
      if (slot === undefined) return undefined
      if (slot.hash === hash && isSame(slot, key)) return slot.series
    }
  }

  /** The series of a device, created with its group if it is not in memory. */
  findOrAdd (names: Names): Series {
    const [device, type, place] = [names.deviceId, names.deviceType, names.zone].map(it => encoder.encode(it))
    const key = {
      buffer: Buffer.concat([device, type, place]),
      deviceIdStart: 0,
      deviceIdEnd: device.length,
      deviceTypeStart: device.length,
      deviceTypeEnd: device.length + type.length,
      zoneStart: device.length + type.length,
      zoneEnd: device.length + type.length + place.length
    }
    return this.find(key) ?? this.add(names, key)
  }

  /** Creates the series of a device, and its group if it is not in memory. @param key the names as in the record */
  add ({ deviceId, deviceType, zone }: Names, key: SeriesKey): Series {
    const groupKey = `${deviceType}\n${zone}` // ids contain no control characters
    let group = this.#groups.get(groupKey)
    if (!group) this.#groups.set(groupKey, group = this.#create(null, deviceType, zone, undefined, this.#partition))
    const home = homeOf(key.buffer.subarray(key.deviceIdStart, key.deviceIdEnd), this.#homes)
    // one string for all series of a group
    const series = this.#create(deviceId, group.deviceType, group.zone, group, home)
    series.index = this.#devices.length
    this.#devices.push(series)
    if (this.#devices.length > this.#slots.length * LOAD_MAX) this.#resize(this.#slots.length * 2)

    const { buffer, deviceIdStart, deviceIdEnd, deviceTypeStart, deviceTypeEnd, zoneStart, zoneEnd } = key
    this.#place({
      hash: this.#hashOf(key),
      key: Buffer.concat([
        buffer.subarray(deviceIdStart, deviceIdEnd), buffer.subarray(deviceTypeStart, deviceTypeEnd),
        buffer.subarray(zoneStart, zoneEnd)
      ]),
      deviceLength: deviceIdEnd - deviceIdStart,
      typeLength: deviceTypeEnd - deviceTypeStart,
      series
    })
    return series
  }

  /** Number of slots visited for this key: for tests, which count instead of measuring time. */
  probesOf (key: SeriesKey): number {
    const hash = this.#hashOf(key)
    const mask = this.#slots.length - 1
    let probes = 1
    for (let at = hash & mask; this.#slots[at] !== undefined; at = (at + 1) & mask, probes++) {
      if (this.#slots[at]!.hash === hash && isSame(this.#slots[at]!, key)) break
    }
    return probes
  }

  #hashOf (
    { buffer, deviceIdStart, deviceIdEnd, deviceTypeStart, deviceTypeEnd, zoneStart, zoneEnd }: SeriesKey
  ): number {
    return this.#hashKeys.hashParts(
      buffer, deviceIdStart, deviceIdEnd, deviceTypeStart, deviceTypeEnd, zoneStart, zoneEnd
    )
  }

  #create (deviceId: string | null, deviceType: string, zone: string, group: Series | undefined, home: number): Series {
    return {
      index: -1,
      headCount: 0,
      seriesId: 0,
      deviceId,
      deviceType,
      zone,
      group,
      homePartition: home === this.#partition ? undefined : home,
      idsOf: deviceId === null ? ALL_PARTITIONS : home,
      settledMaxMs: this.#forgottenMaxMs,
      settledMaxValue: NaN,
      rowsMaxMs: this.#forgottenMaxMs,
      windows: createWindows(),
      lastFlush: 0
    }
  }

  /**
   * Drops device series without readings since the flush `lastFlush`. They return with the next reading, and their
   * windows are then read from the database. Indexes change.
   * @returns the number of dropped series
   */
  forget (lastFlush: number): number {
    const kept = this.#slots.filter(slot => slot !== undefined && slot.series.lastFlush > lastFlush) as Slot[]
    const forgotten = this.#devices.length - kept.length
    if (forgotten === 0) return 0
    for (const slot of this.#slots) {
      if (!slot || slot.series.lastFlush > lastFlush) continue
      this.#forgottenMaxMs = Math.max(this.#forgottenMaxMs, slot.series.settledMaxMs)
      this.#byId.delete(slot.series.seriesId)
    }
    this.#devices = kept.map(it => it.series)
    for (const [index, series] of this.#devices.entries()) {
      series.index = index
      series.headCount = 0
    }
    this.heads = new KnownHeads()
    this.#slots = new Array(this.#slots.length)
    for (const slot of kept) this.#place(slot)
    return forgotten
  }

  /**
   * Drops the windows of idle devices, which are most of their memory. When one reports again, its minute and hour are
   * new, and its day is read back.
   * @param eventTimeMaxMs newest event time of the partition
   */
  forgetIdleWindows (eventTimeMaxMs: number): void {
    if (eventTimeMaxMs < this.#idleCheckedMs + IDLE_CHECK_MS) return
    this.#idleCheckedMs = eventTimeMaxMs
    for (const series of this.#devices) {
      if (series.settledMaxMs >= eventTimeMaxMs - IDLE_MS) continue
      series.windows.newest.fill(undefined)
    }
  }

  #resize (length: number): void {
    const slots = this.#slots
    this.#slots = new Array(length)
    for (const slot of slots) if (slot) this.#place(slot)
  }

  #place (slot: Slot): void {
    const mask = this.#slots.length - 1
    let at = slot.hash & mask
    while (this.#slots[at] !== undefined) at = (at + 1) & mask
    this.#slots[at] = slot
  }
}

function sizeOf (
  { deviceIdStart, deviceIdEnd, deviceTypeStart, deviceTypeEnd, zoneStart, zoneEnd }: SeriesKey
): number {
  return deviceIdEnd - deviceIdStart + deviceTypeEnd - deviceTypeStart + zoneEnd - zoneStart
}

function isSame (slot: Slot, key: SeriesKey): boolean {
  const { deviceLength, typeLength } = slot
  const deviceAndType = deviceLength + typeLength
  return key.deviceIdEnd - key.deviceIdStart === deviceLength &&
    key.deviceTypeEnd - key.deviceTypeStart === typeLength &&
    key.zoneEnd - key.zoneStart === slot.key.length - deviceAndType &&
    isEqual(slot.key, 0, deviceLength, key.buffer, key.deviceIdStart) &&
    isEqual(slot.key, deviceLength, deviceAndType, key.buffer, key.deviceTypeStart) &&
    isEqual(slot.key, deviceAndType, slot.key.length, key.buffer, key.zoneStart)
}

function isEqual (a: Uint8Array, aStart: number, aEnd: number, b: Uint8Array, bStart: number): boolean {
  for (let at = aStart, shift = bStart - aStart; at < aEnd; at++) {
    if (a[at] !== b[at + shift]) return false
  }
  return true
}
