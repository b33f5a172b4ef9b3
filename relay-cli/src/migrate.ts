/** `relay migrate`: brings the database up to date, as its owner: programs whose roles may not do it find it done. */
import type { Command } from 'commander'
import { createLogger, migrate, openDatabase, pendingMigrations } from 'relay-common'

import { readCliConfig } from './config.ts'
import { printJson, type OutputOptions } from './output.ts'

interface MigrateOptions extends OutputOptions {
  readonly dryRun?: true
}

export function addMigrate (program: Command): void {
  program.command('migrate')
    .description('brings the database up to date; several at once do no harm')
    .option('--dry-run', 'only say what there is to do')
    .option('--json', 'for scripts')
    .action(run)
}

async function run ({ dryRun, json }: MigrateOptions): Promise<void> {
  const log = createLogger('relay-cli', 'silent')
  const database = await openDatabase(readCliConfig(), 'relay-cli', log)
  try {
    const steps = dryRun ? await pendingMigrations(database) : await migrate(database, log)
    if (json) printJson(steps)
    else console.log(steps.length === 0 ? 'nothing to do' : steps.map(it => dryRun ? `${it} is to be done` : it).join('\n'))
  } finally {
    await database.close()
  }
}
