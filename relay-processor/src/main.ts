import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

// What was compiled once is read back by the next start, which takes half of the CPU then. A place that can't be written
// to does no harm. Not the system's folder for temporary files: what is in there may be someone else's.
enableCompileCache(join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'relay'))

const [{ runProgram }, { readProcessorConfig }, { startProcessor }] =
  await Promise.all([import('relay-common'), import('./config.ts'), import('./processor.ts')])

await runProgram('relay-processor', readProcessorConfig, startProcessor)
