/**
 * The classes of a broker as an archive beside the jars: with it a broker starts in 1.4 s in place of 2.4 s.
 *
 *     first broker ──lists its classes──▶ a JVM of the lowest priority ──▶ archive ──▶ all later brokers
 *
 * The broker does not write it itself, because a JVM only does so at its exit: each stop would wait for it, on a busy
 * machine for 20 s. Another version of Java ignores the archive.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'

import { endWithUs } from './helper-process.ts'
import { classArchivePath, javaEnvironment, kafkaTool } from './kafka-install.ts'

export interface ClassArchive {
  /** for the broker */
  readonly jvmArgs: readonly string[]
  /** Makes a missing archive, some time after the broker has started. */
  makeLater (): void
  /** Ends what makes it; the next broker starts over. */
  close (): Promise<void>
}

/** Until then a broker has loaded nearly all classes, and a first start is over. */
const MAKE_AFTER_MS = 15_000
const LOWEST_PRIORITY = 19
/** G1 alone writes the objects of the heap that belong to classes; every collector can read them. */
const DUMPING_JVM = ['-Xshare:dump', '-XX:+UseG1GC', '-Xmx256m']

/**
 * @param listFile where the broker lists its classes, if there is no archive yet; undefined: none is made
 * @param afterMs time from the start of the broker
 */
export function openClassArchive (
  cacheDir: string, listFile: string | undefined, afterMs = MAKE_AFTER_MS
): ClassArchive {
  const path = classArchivePath(cacheDir)
  if (existsSync(path)) {
    return { jvmArgs: [`-XX:SharedArchiveFile=${path}`], makeLater: () => {}, close: async () => {} }
  }
  if (listFile === undefined) return { jvmArgs: [], makeLater: () => {}, close: async () => {} }
  const scratch = `${path}.${randomUUID()}`
  const list = `${listFile}.whole`
  let timer: NodeJS.Timeout | undefined
  let dumping: ChildProcess | undefined
  let isClosed = false
  let making = Promise.resolve()

  const make = async () => {
    const listed = await readFile(listFile, 'utf8')
    await writeFile(list, listed.slice(0, listed.lastIndexOf('\n') + 1)) // the broker may be writing the last line
    if (isClosed || existsSync(path)) return
    const { command, args } = kafkaTool(cacheDir, 'kafka.Kafka', [],
      [...DUMPING_JVM, `-XX:SharedClassListFile=${list}`, `-XX:SharedArchiveFile=${scratch}`])
    dumping = spawn(command, args, { stdio: 'ignore', env: javaEnvironment() })
    endWithUs(dumping)
    const exited = once(dumping, 'exit')
    try {
      if (dumping.pid) setPriority(dumping.pid, LOWEST_PRIORITY)
    } catch {
      dumping.kill() // some containers do not allow it
    }
    const [exitCode] = await exited
    if (exitCode === 0) await rename(scratch, path)
  }
  const removeScratch = () => Promise.all([scratch, list, listFile].map(it => rm(it, { force: true })))

  return {
    jvmArgs: [`-XX:DumpLoadedClassList=${listFile}`],
    makeLater () {
      timer = setTimeout(() => {
        making = make().catch(() => {}).then(removeScratch).then(() => {}) // without it brokers start more slowly
      }, afterMs).unref()
    },
    async close () {
      isClosed = true
      clearTimeout(timer)
      dumping?.kill('SIGKILL')
      await making
      await removeScratch()
    }
  }
}
