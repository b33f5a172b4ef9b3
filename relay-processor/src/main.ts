import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

// The next start reads compiled code back, which halves its CPU. An unwritable folder does no harm. It is not the
// system's temporary folder, because others may write there.
enableCompileCache(join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'relay'))

const [{ runProgram }, { readProcessorConfig }, { startProcessor }] =
  await Promise.all([import('relay-common'), import('./config.ts'), import('./processor.ts')])

await runProgram('relay-processor', readProcessorConfig, startProcessor)
