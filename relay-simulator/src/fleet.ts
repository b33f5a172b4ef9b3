/**
 * The devices of a fleet, and their reporting times.
 *
 * The fleet shares one period, and each device has a phase within it. So load is even, and the order of time is a walk
 * through the devices, sorted by phase, round after round.
 *
 *     round 0            round 1            round 2
 *     |··a···b······c····|··a···b······c····|··a···b…      one tick: round × devices + place in the round
 */
import { chanceAt, seedOf } from './noise.ts'
import type { DeviceType } from './value.ts'

export interface Device {
  readonly deviceId: string
  readonly deviceType: string
  readonly zone: string
  /** seed of its signal and its faults */
  readonly seed: number
  /** from the start of a round to its report */
  readonly phaseMs: number
  /** the common part of its events, up to the value */
  readonly eventStart: string
}

export interface FleetSettings {
  readonly devices: number
  readonly zones: number
  /** events per second of each device, at most 1,000 */
  readonly rate: number
  readonly seed: number
  /** accepted types, at least one; devices only have these. Default: those of the known fleet */
  readonly deviceTypes?: readonly string[]
}

/** The fleet that clients of Relay know: these ids and zones, if their types are accepted. */
const knownFleet: readonly (readonly [deviceId: string, deviceType: DeviceType, zone: string])[] = [
  ['thermostat-001', 'THERMOSTAT', 'Zone A'],
  ['heart-rate-001', 'HEART_RATE_METER', 'Zone B'],
  ['car-fuel-001', 'CAR_FUEL', 'Zone C']
]

/** Prefixes of ids by type; others use the name of the type. */
const idPrefixes: Readonly<Record<string, string>> = { HEART_RATE_METER: 'heart-rate' }

export class Fleet {
  /** sorted by phase */
  readonly devices: readonly Device[]
  /** in whole µs, so that everything derived is exact: a third of a second drifts by 1 µs, not by rounding */
  readonly #periodUs: number

  constructor ({ devices, zones, rate, seed, deviceTypes = knownFleet.map(([, type]) => type) }: FleetSettings) {
    this.#periodUs = Math.round(1e6 / rate)
    const periodMs = Math.floor(this.#periodUs / 1_000)
    const known = knownFleet.filter(([, type]) => deviceTypes.includes(type))
    this.devices = Array.from({ length: devices }, (_, index) =>
      createDevice(known[index] ?? furtherDevice(index, zones, deviceTypes), periodMs, seed))
      .sort((a, b) => a.phaseMs - b.phaseMs)
  }

  /** The device of a tick. */
  deviceAt (tick: number): Device {
    return this.devices[tick % this.devices.length]
  }

  /**
   * Time of a tick, in ms since the epoch. Never before the previous tick, because a phase is less than the shortest
   * round; never equal for two ticks of one device.
   */
  timeAt (tick: number): number {
    const place = tick % this.devices.length
    return this.#roundStartMs((tick - place) / this.devices.length) + this.devices[place].phaseMs
  }

  /** The first tick at or after a time. */
  tickFrom (timeMs: number): number {
    const round = Math.floor(timeMs * 1_000 / this.#periodUs)
    const intoRoundMs = timeMs - this.#roundStartMs(round)
    let low = 0
    let high = this.devices.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.devices[middle].phaseMs < intoRoundMs) low = middle + 1
      else high = middle
    }
    return round * this.devices.length + low // after the last device: the first one of the next round
  }

  #roundStartMs (round: number): number {
    return Math.floor(round * this.#periodUs / 1_000)
  }
}

type Named = readonly [deviceId: string, deviceType: string, zone: string]

function createDevice ([deviceId, deviceType, zone]: Named, periodMs: number, fleetSeed: number): Device {
  const seed = seedOf(fleetSeed, deviceId)
  const head = JSON.stringify({ deviceId, deviceType, zone })
  return {
    deviceId,
    deviceType,
    zone,
    seed,
    phaseMs: Math.floor(chanceAt(seed, 0) * periodMs),
    eventStart: `${head.slice(0, -1)},"value":`
  }
}

/** Types rotate by device and zones by a device of each type, so that every zone has every type. */
function furtherDevice (index: number, zones: number, types: readonly string[]): Named {
  const type = types[index % types.length]
  const prefix = idPrefixes[type] ?? type.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  const zone = Math.floor(index / types.length) % zones
  return [`${prefix}-${String(index + 1).padStart(4, '0')}`, type, `Zone ${lettersOf(zone)}`]
}

/** 0 is A, 25 is Z, 26 is AA: like columns of a spreadsheet. */
function lettersOf (zone: number): string {
  const letter = String.fromCharCode(65 + zone % 26)
  return zone < 26 ? letter : lettersOf(Math.floor(zone / 26) - 1) + letter
}
