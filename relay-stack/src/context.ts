/** What every step of the stack needs. */
import type { DataDir } from './data-dir.ts'
import type { EventLogChoice } from './event-log.ts'
import type { LogFiles } from './log-files.ts'
import type { StackOptions } from './options.ts'
import type { Report } from './report.ts'

/** Where the parts listen; 0: there is no such part here. */
export type StackPorts = Readonly<Record<'api' | 'metrics' | 'kafka' | 'postgres' | 'simulator' | 'processor' | 'issuer', number>>

export interface StackContext {
  readonly options: StackOptions
  readonly environment: NodeJS.ProcessEnv
  readonly choice: EventLogChoice
  readonly dataDir: DataDir
  readonly ports: StackPorts
  readonly logs: LogFiles
  readonly report: Report
  readonly signal: AbortSignal
}
