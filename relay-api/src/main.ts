import { runProgram } from 'relay-common'

import { startApi } from './app.ts'
import { readApiConfig } from './config.ts'

await runProgram('relay-api', readApiConfig, startApi)
