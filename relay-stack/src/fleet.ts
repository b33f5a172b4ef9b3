/** The simulated fleet, as far as the stack decides about it. */
import { readSimulatorConfig } from 'relay-simulator/config'
import { Fleet } from 'relay-simulator/fleet'

import type { StackOptions } from './options.ts'

export interface ChosenFleet {
  /** the device that the stack queries */
  readonly firstDevice: string
  readonly eventsPerSecond: number
  /** events per second of each device */
  readonly rate: number
  /** requested history; 0: none, or no request */
  readonly backfillMs: number
}

/**
 * Decides whether a fleet is simulated. External servers get no simulated events, unless a fleet is requested or
 * configured.
 * @param areServersOurs whether `npm start` starts both the event log and the database
 * @returns undefined: none
 * @throws RelayError RELAY_CONFIG_INVALID if the simulator would refuse its settings
 */
export function chooseFleet (
  { hasSimulator, simulator }: StackOptions, environment: NodeJS.ProcessEnv, areServersOurs: boolean
): ChosenFleet | undefined {
  if (simulator.DEVICES === '0') return undefined
  const { DEVICES, RATE, ZONES, SEED, deviceTypes, backfillMs } = readSimulatorConfig(
    { ...environment, ...simulator }, []
  )
  if (!(hasSimulator ?? (areServersOurs || Object.keys(simulator).length > 0))) return undefined
  const [{ deviceId }] = new Fleet({ devices: 1, zones: ZONES, rate: RATE, seed: SEED, deviceTypes }).devices
  return { firstDevice: deviceId, eventsPerSecond: DEVICES * RATE, rate: RATE, backfillMs }
}
