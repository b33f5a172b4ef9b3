/**
 * A view: what clients that ask the same question share, so that what they see is read and rendered once.
 *
 * It knows the series that it shows by group. Series are found in the table when the view is opened, and by the commits
 * that name them afterwards.
 */
import { levels, mayDevice, mayZone, type Level } from 'relay-common'

import { selectsDevices, type Selection } from '../parameters/selection.ts'
import type { Client } from './client.ts'

export const groupings = ['device', 'zone', 'type'] as const
export type Grouping = typeof groupings[number]

export interface Question {
  readonly selection: Selection
  readonly levelIndex: number
  /** undefined: all that is selected is one */
  readonly groupBy: Grouping | undefined
}

export interface Series {
  readonly seriesId: number
  /** null: the group of all devices of that zone and type */
  readonly deviceId: string | null
  readonly zone: string
  readonly deviceType: string
}

export class View {
  readonly question: Question
  readonly level: Level
  readonly clients = new Set<Client>()
  /** by name of the group; '' where there is one alone */
  readonly groups = new Map<string, Set<number>>()
  /** what was sent last of a window, so that a commit which didn't change it is not told */
  readonly #sent = new Map<string, string>()

  constructor (question: Question) {
    this.question = question
    this.level = levels[question.levelIndex]
  }

  get seriesIds (): number[] {
    return [...this.groups.values()].flatMap(it => [...it])
  }

  /** Takes a series in where it is selected. @returns whether it is */
  take (series: Series): boolean {
    if (!isSelected(this.question, series)) return false
    const name = groupOf(this.question, series)
    const ids = this.groups.get(name) ?? new Set()
    this.groups.set(name, ids.add(series.seriesId))
    return true
  }

  /** Forgets its series, and what was sent of them. */
  forget (): void {
    this.groups.clear()
    this.#sent.clear()
  }

  /** Notes what is sent of a window. @returns whether it differs from what was sent before */
  note (windowName: string, text: string): boolean {
    if (this.#sent.get(windowName) === text) return false
    if (this.#sent.size >= SENT_MAX) this.#sent.clear()
    this.#sent.set(windowName, text)
    return true
  }
}

/** beyond this many windows all are forgotten: the next commit tells some that have not changed */
const SENT_MAX = 5_000

/** Equal questions have equal names. */
export function nameOf (question: Question): string {
  return JSON.stringify(question)
}

/** Whether a question is about devices one by one, or about what zones and types have in common. */
export function needsDevices ({ selection, groupBy }: Question): boolean {
  return selectsDevices(selection) || groupBy === 'device'
}

function isSelected (question: Question, { deviceId, zone, deviceType }: Series): boolean {
  const { devices, zones, types, grants } = question.selection
  if ((deviceId !== null) !== needsDevices(question)) return false
  const isOneOf = (names: readonly string[], name: string) => names.length === 0 || names.includes(name)
  return isOneOf(zones, zone) && isOneOf(types, deviceType) && mayZone(grants, zone) &&
    (deviceId === null || (isOneOf(devices, deviceId) && mayDevice(grants, deviceId)))
}

function groupOf ({ groupBy }: Question, { deviceId, zone, deviceType }: Series): string {
  switch (groupBy) {
    case 'device': return deviceId!
    case 'zone': return zone
    case 'type': return deviceType
    case undefined: return ''
  }
}
