import { runProgram } from 'relay-common'

import { readProcessorConfig } from './config.ts'
import { startProcessor } from './processor.ts'

await runProgram('relay-processor', readProcessorConfig, startProcessor)
