/**
 * One run of the simulation: a few processors on one log and one database, and every possible fault, for a while. Then
 * faults end, and everything must finish and be right. The seed decides everything.
 *
 * The code of a processor is real: line, flush, fold, settle, retry, encoding. Log, store and clock are simulated.
 */
import assert from 'node:assert/strict'

import { Registry, RelayError, type Logger } from 'relay-common'

import { startLine, type Line, type LineSettings } from '../../src/line.ts'
import { createProcessorMetrics } from '../../src/metrics.ts'
import type { Chance } from 'relay-test-support/chance.ts'
import type { Bug } from './bugs.ts'
import { findFaults } from './check.ts'
import { SimulatedConsumer, SimulatedProducer, type ProducerFaults } from './consumer.ts'
import { Database, progressKey } from './database.ts'
import { areOwnersRight, findForeignClaims, scheduleDeployment } from './deployment.ts'
import { makeRecords } from './load.ts'
import { Log } from './log.ts'
import { Process } from './process.ts'
import { SimulatedStore, type StoreFaults } from './store.ts'
import { World } from './world.ts'

export interface RunOptions {
  readonly seed: number
  readonly bug?: Bug
  readonly isTraced?: boolean
}

export interface RunResult {
  readonly events: number
  /** faults and their effects, by name */
  readonly counts: Readonly<Record<string, number>>
  /** everything that happened, if requested */
  readonly trace: readonly string[]
}

/** duration of faults */
const FAULTS_MS = 12_000
/** by then every effect of a fault is over: sessions, waits for a retry, abandoned transactions */
const RECOVERY_MAX_MS = 60_000
/** events are days old: so none is in the future for a clock that was set back */
const CLOCK_SET_MS = 3_600_000
/** a zombie acts within this time */
const AFTERMATH_MS = 2_000

/**
 * Runs one seed.
 * @throws with the fault, if a promise was broken
 */
export async function runSeed ({ seed, bug, isTraced = false }: RunOptions): Promise<RunResult> {
  const simulation = new Simulation(seed, bug, isTraced)
  try {
    await simulation.run()
  } catch (error) {
    (error as { trace?: readonly string[] }).trace = simulation.world.trace
    throw error
  }
  return { events: simulation.world.eventCount, counts: simulation.world.counts, trace: simulation.world.trace ?? [] }
}

/** Rates of faults, per request. */
interface Faults extends StoreFaults, ProducerFaults {
  kill: number
  pause: number
}

interface Machine {
  readonly process: Process
  readonly generation: string
  /** no two clocks agree, and some are set */
  skewMs: number
  line: Line | undefined
}

class Simulation {
  readonly world: World
  readonly #chance: Chance
  readonly #log: Log
  readonly #database: Database
  readonly #bug: Bug | undefined
  readonly #faults: Faults
  readonly #settings: Omit<LineSettings, 'owner' | 'gapPolicy'>
  #gapPolicy: 'stop' | 'continue'
  /** processors of two generations run side by side */
  readonly #isDeploying: boolean
  readonly #machines: Machine[] = []
  #machineNumber = 0
  #areFaultsOver = false
  /** nothing is started again */
  #isOver = false

  constructor (seed: number, bug: Bug | undefined, isTraced: boolean) {
    this.world = new World(seed, isTraced)
    const chance = this.#chance = this.world.chance
    this.#bug = bug
    this.#log = new Log(this.world, chance.between(1, 3))
    this.#database = new Database(this.world, bug)
    this.#faults = {
      cut: chance.pick([0, 0.01, 0.05]),
      refused: chance.pick([0, 0.01, 0.05]),
      lost: chance.pick([0, 0.2]),
      kill: chance.pick([0, 0.01]),
      pause: chance.pick([0, 0.01])
    }
    this.#gapPolicy = chance.pick(['stop', 'continue'])
    this.#isDeploying = chance.happens(0.4)
    // above the maximum a duplicate is not detected and counts: so there is either a low maximum or undetected
    // duplicates
    const keepDuplicates = chance.happens(0.7)
    this.#settings = {
      flushStalledMs: 30_000,
      topic: 'iot-events',
      deadLettersTopic: 'iot-events.dead-letters',
      flushIntervalMs: chance.pick([50, 200]),
      turnMs: chance.between(0, 200),
      flushIntervalMaxMs: 300,
      flushReadingsMax: chance.pick([5, 20, 1_000]),
      readingsPerRowMax: keepDuplicates ? chance.pick([2, 5, 600]) : 600,
      keepDuplicates,
      minutesPerPart: chance.pick([1, 3, 1_000]),
      seriesInMemoryMax: chance.pick([1, 3, 1_000]),
      journal: {
        intervalMs: chance.pick([0, 300, 2_000]),
        ageMaxMs: chance.pick([500, 3_000]),
        fragmentsMax: chance.pick([2, 3, 16]),
        compactedReadingsMin: chance.pick([1, 3, 30]),
        directReadingsMin: chance.pick([2, 20])
      },
      keptFromMs: () => [-Infinity, -Infinity, -Infinity],
      rules: { deviceTypes: new Set(['THERMOSTAT', 'CAR_FUEL']), futureMaxMs: 60_000 }
    }
  }

  async run (): Promise<void> {
    const { world } = this
    const machines = this.#chance.between(1, 3)
    for (let n = 0; n < machines; n++) this.#startSoon('blue')
    if (this.#isDeploying) for (let n = this.#chance.between(0, 1); n < 2; n++) this.#startSoon('green')
    this.#scheduleLoad()
    this.#scheduleFaults()
    if (this.#isDeploying) scheduleDeployment(world, this.#log, this.#database, FAULTS_MS)
    await world.run(() => false, FAULTS_MS)

    this.#endFaults()
    const isDone = await world.run(() => this.#isDone(), RECOVERY_MAX_MS)
    assert.ok(isDone, `it got stuck: ${this.#describe()}`)
    await world.run(() => false, AFTERMATH_MS)
    this.#isOver = true
    for (const machine of this.#machines) this.#stop(machine)
    await world.run(() => this.#machines.length === 0, RECOVERY_MAX_MS)
    const wrong = [
      ...findFaults(this.#log, this.#database, this.#settings), ...findForeignClaims(this.#database)
    ]
    assert.ok(wrong.length === 0, wrong.slice(0, 10).join('\n'))
  }

  /** Everything of the current topic is read, and every processor that should run does. */
  #isDone (): boolean {
    const { topicId, partitions } = this.#log.topic
    if (this.#database.misplaced.size > 0 || !areOwnersRight(this.#log, this.#database)) return false
    return partitions.every(({ records }, partition) => {
      const progress = this.#database.progress.get(progressKey(topicId, partition))
      return records.length === 0 || (progress !== undefined && Number(progress.nextOffset) === records.length)
    }) && this.#machines.every(it => it.line !== undefined && it.line.readiness().rollups === undefined)
  }

  #describe (): string {
    const { topicId, partitions } = this.#log.topic
    const progress = partitions.map(({ records }, it) =>
      `${this.#database.progress.get(progressKey(topicId, it))?.nextOffset} of ${records.length}`)
    return `partitions at ${progress.join(', ')}; ${this.#database.misplaced.size} rows of misplaced readings; ` +
      this.#machines.map(it => `${it.process.name}: ${it.line?.readiness().rollups ?? 'ready'}`).join(', ')
  }

  #startSoon (generation: string): void {
    const name = `p${++this.#machineNumber}`
    this.world.schedule(this.#chance.between(0, 1_500), `start ${name}`, () => {
      const process = new Process(name, this.world, () => this.#strike(machine))
      const machine: Machine = { process, generation, skewMs: this.#chance.between(-200, 200), line: undefined }
      this.#start(machine)
    })
  }

  #start (machine: Machine): void {
    const { process, generation } = machine
    this.#machines.push(machine)
    const consumer = new SimulatedConsumer(process, this.#log, generation)
    const line = startLine({ ...this.#settings, owner: process.name, gapPolicy: this.#gapPolicy }, {
      store: new SimulatedStore(process, this.#database, this.#faults, this.#bug, generation),
      eventLog: {
        readOffsets: () => process.ask(
          'read offsets', 'none', () => new Error(), () => this.#log.readOffsets()
        )
      },
      consumer,
      producer: new SimulatedProducer(process, this.#log, this.#faults),
      clock: {
        nowMs: () => this.world.nowMs + machine.skewMs,
        steadyMs: () => this.world.nowMs,
        delay: (ms, signal) => new Promise(resolve => {
          process.sleep(ms).then(resolve)
          signal.addEventListener('abort', () => resolve())
        }),
        random: () => this.#chance.next()
      },
      metrics: createProcessorMetrics(new Registry()),
      log: this.#createLogger(process)
    })
    machine.line = line
    line.done.then(
      async () => {
        await consumer.close()
        this.#bury(machine)
      },
      error => {
        const code = error instanceof RelayError ? error.code : undefined
        const isFine = code === 'RELAY_OFFSET_GAP' || (code === 'RELAY_FLUSH_UNFINISHED' && !this.#isOver)
        if (!isFine) {
          return this.world.fail(`${process.name} died of ${error.stack}`)
        }
        this.world.count(code)
        this.world.note(`${process.name} stops: ${error.message}`)
        if (code === 'RELAY_OFFSET_GAP') this.#gapPolicy = 'continue' // the person on call has read it
        this.#bury(machine)
      }
    )
  }

  /** It is dead; the supervisor starts another one. */
  #bury (machine: Machine): void {
    machine.process.kill()
    const at = this.#machines.indexOf(machine)
    if (at < 0) return
    this.#machines.splice(at, 1)
    if (!this.#isOver) this.#startSoon(machine.generation)
  }

  #createLogger (process: Process): Logger {
    const note = (_: unknown, message: string) => this.world.note(`${process.name}: ${message}`)
    const noteAlone = (it: unknown, message?: string) => this.world.note(`${process.name}: ${message ?? it}`)
    return { info: noteAlone, warn: note, error: note, debug: note } as unknown as Logger
  }

  #scheduleLoad (): void {
    const records = makeRecords(this.#chance, this.#chance.between(40, 160), !this.#settings.keepDuplicates)
    while (records.length > 0) {
      const some = records.splice(0, this.#chance.between(1, 15))
      this.world.schedule(this.#chance.below(FAULTS_MS), '', () => {
        const partition = this.#chance.below(this.#log.topic.partitions.length)
        this.world.note(`${some.length} records for ${partition}`)
        this.#log.append(partition, some)
      })
    }
  }

  #scheduleFaults (): void {
    const count = this.#chance.between(0, 8)
    for (let n = 0; n < count; n++) {
      const name = this.#chance.pick(Object.keys(this.#possibleFaults))
      this.world.schedule(this.#chance.below(FAULTS_MS), `fault: ${name}`, () => {
        this.world.count(name)
        this.#possibleFaults[name]()
      })
    }
  }

  readonly #possibleFaults: Record<string, () => void> = {
    kill: () => {
      const machine = this.#anyMachine()
      if (machine) this.#bury(machine)
    },
    pause: () => {
      const machine = this.#anyMachine()
      if (machine) this.#pause(machine)
    },
    'clock set': () => {
      const machine = this.#anyMachine()
      if (machine) machine.skewMs += this.#chance.pick([-CLOCK_SET_MS, CLOCK_SET_MS])
    },
    'rolling restart': () => {
      const machine = this.#anyMachine()
      if (machine) this.#stop(machine)
    },
    'another processor': () => {
      if (this.#machines.length < 4) this.#startSoon(this.#isDeploying ? this.#chance.pick(['blue', 'green']) : 'blue')
    },
    'database crash': () => {
      this.#database.crash()
      this.#database.isAway = true
      this.world.schedule(this.#chance.between(100, 4_000), '', () => { this.#database.isAway = false })
    },
    'restored database': () => {
      const restore = this.#database.backUp()
      this.world.schedule(this.#chance.between(100, 6_000), 'the copy is put back', () => {
        if (this.#areFaultsOver) return
        restore()
        this.#database.isAway = true
        this.world.schedule(this.#chance.between(100, 4_000), '', () => { this.#database.isAway = false })
      })
    },
    'read-only database': () => {
      this.#database.isReadOnly = true
      this.world.schedule(this.#chance.between(100, 4_000), '', () => { this.#database.isReadOnly = false })
    },
    'brokers away': () => {
      this.#log.isAway = true
      this.world.schedule(this.#chance.between(100, 4_000), '', () => { this.#log.isAway = false })
    },
    rebalance: () => this.#log.rebalance(),
    'partitions added': () => {
      if (this.#log.topic.partitions.length < 5) this.#log.addPartitions(this.#chance.between(1, 2))
    },
    retention: () => {
      const partition = this.#chance.pick(this.#log.topic.partitions)
      const { startOffset, records } = partition
      partition.startOffset = this.#chance.happens(0.5)
        ? records.length
        : this.#chance.between(startOffset, records.length)
    },
    'topic made anew': () => {
      if (this.#log.topics.length < 3) this.#log.createTopic(this.#chance.between(1, 3))
    }
  }

  /** A fault while a request is on its way. */
  #strike (machine: Machine): void {
    const soonMs = this.#chance.between(0, 15)
    if (this.#chance.happens(this.#faults.kill)) {
      this.world.count('kill')
      this.world.schedule(soonMs, `fault: kill ${machine.process.name}`, () => this.#bury(machine))
    } else if (this.#chance.happens(this.#faults.pause)) {
      this.world.count('pause')
      this.world.schedule(soonMs, `fault: pause ${machine.process.name}`, () => this.#pause(machine))
    }
  }

  #pause ({ process }: Machine): void {
    process.pause()
    this.world.schedule(this.#chance.between(500, 8_000), `${process.name} goes on`, () => process.resume())
  }

  #anyMachine (): Machine | undefined {
    return this.#machines.length > 0 ? this.#chance.pick(this.#machines) : undefined
  }

  /** SIGTERM; unless paused it must end in time. */
  #stop (machine: Machine): void {
    machine.process.deliver(() => {
      machine.line?.close().catch(() => {}) // its end is checked elsewhere
      this.world.schedule(5_000, '', () => {
        if (!machine.process.isPaused && this.#machines.includes(machine)) {
          this.world.fail(`${machine.process.name} does not go`)
        }
      })
    })
  }

  #endFaults (): void {
    this.#areFaultsOver = true
    Object.assign(this.#faults, { cut: 0, refused: 0, lost: 0, kill: 0, pause: 0 })
    this.#database.isAway = this.#database.isReadOnly = this.#log.isAway = false
    for (const { process } of this.#machines) process.resume()
    this.world.note('the faults are over')
  }
}
