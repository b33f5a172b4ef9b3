/** The simulated fleet, as far as the stack decides about it: whether there is one, and what it may be told. */
import { readSimulatorConfig } from 'relay-simulator/config'
import { Fleet } from 'relay-simulator/fleet'

import type { StackOptions } from './options.ts'

export interface ChosenFleet {
  /** the device that the stack asks about */
  readonly firstDevice: string
  readonly eventsPerSecond: number
  /** events per second of each device */
  readonly rate: number
  /** history that the user asks for; 0: none, or nothing was asked for */
  readonly backfillMs: number
}

/**
 * Decides whether a fleet is simulated. Servers that are not those of `npm start` get no made-up events, unless somebody
 * asks for a fleet, or tells one what to do.
 * @param areServersOurs whether `npm start` starts both the event log and the database
 * @returns undefined: there is none
 * @throws RelayError RELAY_CONFIG_INVALID where the simulator would refuse what it is told
 */
export function chooseFleet (
  { hasSimulator, simulator }: StackOptions, environment: NodeJS.ProcessEnv, areServersOurs: boolean
): ChosenFleet | undefined {
  if (simulator.DEVICES === '0') return undefined
  const { DEVICES, RATE, ZONES, SEED, deviceTypes, backfillMs } = readSimulatorConfig({ ...environment, ...simulator }, [])
  if (!(hasSimulator ?? (areServersOurs || Object.keys(simulator).length > 0))) return undefined
  const [{ deviceId }] = new Fleet({ devices: 1, zones: ZONES, rate: RATE, seed: SEED, deviceTypes }).devices
  return { firstDevice: deviceId, eventsPerSecond: DEVICES * RATE, rate: RATE, backfillMs }
}
