/** Context of all steps of the stack. */
import type { DataDir } from './data-dir.ts'
import type { EventLogChoice } from './event-log.ts'
import type { ChosenFleet } from './fleet.ts'
import type { LogFiles } from './log-files.ts'
import type { StackOptions } from './options.ts'
import type { PortName } from './port-options.ts'
import type { Ports } from './ports.ts'
import type { Report } from './report.ts'

export interface StackContext {
  readonly options: StackOptions
  readonly environment: NodeJS.ProcessEnv
  readonly choice: EventLogChoice
  readonly dataDir: DataDir
  readonly ports: Ports<PortName>
  /** undefined: no fleet is simulated */
  readonly fleet: ChosenFleet | undefined
  readonly logs: LogFiles
  readonly report: Report
  readonly signal: AbortSignal
}
