#!/usr/bin/env node
/**
 * `relay`: the command line for the person on call.
 *
 * Exit codes: 0 done; 1 done with a bad result (`verify`: differences, `lag --max`: exceeded, `send`: events refused,
 * `probe`: readings missing or different); 2 not done, with the reason in one line on stderr; 64 wrong command line.
 */
import { resolve } from 'node:path'

import { Command, CommanderError, Option } from 'commander'
import { printableLines, RelayError, version } from 'relay-common'

import { parseFolder } from './arguments.ts'
import { addDeadLetters } from './dead-letters-commands.ts'
import { addDeploy } from './deploy/commands.ts'
import { addDevices } from './devices.ts'
import { addKeys } from './keys.ts'
import { addLag } from './lag.ts'
import { addMigrate } from './migrate.ts'
import { addProbe } from './probe.ts'
import { addProgress } from './progress.ts'
import { addQuery } from './query.ts'
import { addRepair } from './repair.ts'
import { addReplay } from './replay.ts'
import { addSend } from './send.ts'
import { addTail } from './tail.ts'
import { addTrace } from './trace.ts'
import { addVerify } from './verify.ts'

const EXIT_FAILED = 2
const EXIT_USAGE = 64 // as in sysexits.h

if (process.env.RELAY_DATA_DIR === '') delete process.env.RELAY_DATA_DIR // empty counts as not set
const program = new Command('relay')
  .description('Query Relay (devices, query, send, tail, probe) and operate it: lag, dead letters, checks and ' +
    'rebuilds of rollups, API keys.\n' + // lines are broken to the width of the terminal
    'Uses the local stack of npm start, or the servers that DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS name ' +
    '(docs/configuration.md).')
  .addOption(new Option('--data-dir <folder>', 'data folder of the local stack (default: .relay beside package.json)')
    .env('RELAY_DATA_DIR').argParser(parseFolder))
  .hook('preAction', () => {
    const { dataDir } = program.opts<{ dataDir?: string }>()
    if (dataDir) process.env.RELAY_DATA_DIR = resolve(process.env.INIT_CWD ?? '', dataDir) // npm has changed the folder
  })
  .version(version)
  .showHelpAfterError('(see --help)')
  .exitOverride()
const commands = [
  addDevices, addQuery, addSend, addTail, addProbe, addLag, addDeadLetters, addVerify, addRepair, addReplay,
  addProgress, addDeploy, addKeys, addMigrate, addTrace
]
for (const add of commands) add(program)
for (const command of program.commands.flatMap(it => [it, ...it.commands])) command.exitOverride()

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE
  } else {
    const { message } = error as Error
    console.error(printableLines(error instanceof RelayError
      ? `relay: ${message} (${error.code})`
      : `relay: ${message}`))
    process.exit(EXIT_FAILED) // a failed command may leave an open connection behind
  }
}
