import { runProgram } from 'relay-common'

import { readIssuerConfig } from './config.ts'
import { startIssuer } from './issuer.ts'

await runProgram('relay-issuer', readIssuerConfig, startIssuer)
