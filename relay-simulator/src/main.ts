import { runProgram } from 'relay-common'

import { readSimulatorConfig } from './config.ts'
import { startSimulator } from './simulator.ts'

await runProgram('relay-simulator', readSimulatorConfig, startSimulator, true)
