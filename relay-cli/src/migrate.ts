/**
 * `relay migrate`: migrates the database as its owner, for programs whose roles may not. Sets the retention, which no
 * program may, and creates logins for programs.
 */
import { InvalidArgumentError, type Command } from 'commander'
import { allowLogin, databaseLogins, keepPassword, type DatabaseLogin } from 'relay-access'
import { createLogger, migrate, openDatabase, pendingMigrations, type Database } from 'relay-common'
import { setRetention } from 'relay-rollups'

import { readCliConfig } from './config.ts'
import { printJson, printLine, type OutputOptions } from './output.ts'

interface MigrateOptions extends OutputOptions {
  readonly dryRun?: true
  readonly login: readonly Login[]
}

interface Login {
  readonly program: DatabaseLogin
  readonly passwordFile: string
}

export function addMigrate (program: Command): void {
  program.command('migrate')
    .description('migrate the database; safe to run several at once')
    .option('--dry-run', 'only show the pending migrations')
    .option('--login <program=file>',
      'create the login relay_<program>_login for a program, with the password in a file; the file is created ' +
        'if missing',
      addLogin, [])
    .option('--json', 'as JSON')
    .addHelpText('after',
      '\nExample:\n  relay migrate --login processor=/run/relay/processor --login api=/run/relay/api')
    .action(run)
}

function addLogin (text: string, others: readonly Login[]): Login[] {
  const [, name, passwordFile] = /^(\w+)=(.+)$/.exec(text) ?? []
  const program = databaseLogins.find(it => it === name)
  if (!program) throw new InvalidArgumentError(`Must be one of ${databaseLogins.map(it => `${it}=<file>`).join(', ')}.`)
  return [...others, { program, passwordFile }]
}

async function allow (database: Database, logins: readonly Login[]): Promise<string[]> {
  const users: string[] = []
  for (const { program, passwordFile } of logins) {
    users.push(await allowLogin(database, program, await keepPassword(passwordFile)))
  }
  return users
}

async function run ({ dryRun, login, json }: MigrateOptions): Promise<void> {
  const log = createLogger('relay-cli', 'silent')
  const config = readCliConfig()
  const database = await openDatabase(config, 'relay-cli', log)
  try {
    const steps = dryRun ? await pendingMigrations(database) : await migrate(database, log)
    if (!dryRun) await setRetention(database, config)
    const users = dryRun ? [] : await allow(database, login)
    if (json) return printJson(steps)
    printLine(steps.length === 0 ? 'nothing to do' : steps.map(it => dryRun ? `pending: ${it}` : it).join('\n'))
    for (const user of users) printLine(`${user} can log in`)
  } finally {
    await database.close()
  }
}
