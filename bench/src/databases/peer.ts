/** One database under test. */
import type { Usage } from '../process-usage.ts'
import type { Answer, BenchmarkQuery } from './queries.ts'
import type { Stored } from './readings.ts'

export interface DatabasePeer extends AsyncDisposable {
  readonly name: string
  /** Stores the history, as fast as it takes it. */
  fill (stored: Stored): Promise<void>
  /** Takes the last hour the way that readings come in life, and returns when answers show all of it. */
  takeTail (stored: Stored): Promise<void>
  ask (query: BenchmarkQuery): Promise<Answer>
  /** of all its processes */
  readUsage (): Promise<Usage>
  /** size of its data on disk */
  readSizeBytes (): Promise<number>
}
