/**
 * A stack on a data folder as a process that a test may kill: it opens the folder, starts a server that holds it, and
 * writes a line with the process id of that server. Argument: the folder.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'

import { openDataDir } from '../../src/data-dir.ts'
import { kafkaTrace } from '../../src/kafka.ts'

const dataDir = await openDataDir(process.argv[2], false)
const { pidFile, mark } = kafkaTrace(dataDir.kafka)
mkdirSync(dataDir.kafka, { recursive: true })
const server = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', '--', ...mark.split(' ')], {
  detached: true, stdio: ['ignore', 'ignore', 'ignore', ...dataDir.heldFd === undefined ? [] : [dataDir.heldFd]]
})
server.unref()
writeFileSync(pidFile, String(server.pid))
process.stdout.write(`${server.pid}\n`)
setInterval(() => {}, 1_000)
