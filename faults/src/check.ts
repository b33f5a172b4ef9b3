/**
 * Checks of a quiet site: the topic has every acknowledged record, once and in order; the rollups equal those of the
 * topic; each invalid record has a dead letter.
 */
import { NUMBER_HEADER } from './events.ts'
import { compareRollups } from './compare.ts'
import { Recomputation } from './recompute.ts'
import { readEnds, waitForHomes, waitForProgress, type Site } from './site.ts'
import { readTopic } from './topic-reader.ts'

export interface CheckResult {
  /** events in the topic, since its beginning */
  readonly events: number
  readonly deadLetters: number
  /** rollup rows that were compared */
  readonly rows: number
  /** events that were acknowledged or in the topic, and are not in the rollups; cumulative, like all counts below */
  readonly lost: number
  /** events that are in the topic or the rollups once too often */
  readonly doubled: number
  /** any other fault, in words */
  readonly wrong: readonly string[]
}

/** What a check needs of a site. */
export type CheckedSite = Pick<Site,
  'load' | 'database' | 'eventLog' | 'topic' | 'deadLettersTopic' | 'rules'> & {
    readonly kafka: Pick<Site['kafka'], 'bootstrapServers'>
  }

export class Checker {
  readonly #site: CheckedSite
  readonly #expected: Recomputation
  /** offset up to which the topic was read */
  readonly #read = new Map<number, bigint>()
  /** by number, how often each record is in the topic */
  readonly #times = new Map<number, number>()
  readonly #lastNumber = new Map<number, number>()
  readonly #letters = new Set<string>()
  #lettersRead = 0n
  #disordered = 0

  constructor (site: CheckedSite) {
    this.#site = site
    this.#expected = new Recomputation(site.rules)
  }

  /** Stops the load, waits until everything is in the rollups, and compares. */
  async check (): Promise<CheckResult> {
    const { load, database } = this.#site
    await load.pause()
    const ends = await readEnds(this.#site)
    await waitForProgress(this.#site, ends)
    await waitForHomes(this.#site)
    await this.#readTopic(ends)
    await this.#readLetters()

    const wrong: string[] = []
    const rollups = await compareRollups(database, this.#expected)
    if (rollups.wrong.length > 0) {
      wrong.push(`${rollups.wrong.length} rows differ, as ${rollups.wrong.slice(0, 3).join('; ')}`)
    }
    const log = this.#compareLog()
    if (this.#disordered > 0) wrong.push(`${this.#disordered} records are not in the order they were sent in`)
    wrong.push(...this.#compareLetters())
    return {
      events: this.#expected.events,
      deadLetters: this.#letters.size,
      rows: rollups.rows,
      lost: log.lost + rollups.lost,
      doubled: log.doubled + rollups.doubled,
      wrong
    }
  }

  async #readTopic (ends: ReadonlyMap<number, bigint>): Promise<void> {
    const { kafka, topic, load } = this.#site
    const stretches = [...ends].map(([partition, toOffset]) => (
      { partition, fromOffset: this.#read.get(partition) ?? 0n, toOffset }))
    await readTopic(kafka.bootstrapServers, topic, stretches, ({ partition, offset, value, headers }) => {
      const number = Number(headers.get(NUMBER_HEADER))
      this.#times.set(number, (this.#times.get(number) ?? 0) + 1)
      if (!load.wasResent(number)) {
        if (number < (this.#lastNumber.get(partition) ?? -1)) this.#disordered++
        this.#lastNumber.set(partition, number)
      }
      this.#expected.add(partition, offset, value)
      this.#read.set(partition, offset + 1n)
    })
  }

  /** Everything sent is acknowledged by now, so it must be there, and once if it was sent once. */
  #compareLog (): { lost: number, doubled: number } {
    const { load } = this.#site
    let lost = 0
    let doubled = 0
    for (let number = 0; number < load.acknowledged; number++) {
      const times = this.#times.get(number) ?? 0
      if (times === 0) lost++
      if (times > 1 && !load.wasResent(number)) doubled += times - 1
    }
    return { lost, doubled }
  }

  async #readLetters (): Promise<void> {
    const { eventLog, kafka, deadLettersTopic: topic } = this.#site
    const [{ endOffset }] = await eventLog.readOffsets(topic)
    const stretch = { partition: 0, fromOffset: this.#lettersRead, toOffset: endOffset }
    await readTopic(kafka.bootstrapServers, topic, [stretch], ({ headers }) => {
      this.#letters.add(`${headers.get('relay-source-partition')}/${headers.get('relay-source-offset')}`)
    })
    this.#lettersRead = endOffset
  }

  /** A letter may appear twice after a crash; none may be missing, or be about a valid event. */
  #compareLetters (): string[] {
    const { rejected } = this.#expected
    const missing = [...rejected].filter(it => !this.#letters.has(it))
    const wrong = [...this.#letters].filter(it => !rejected.has(it))
    return [
      ...missing.length > 0 ? [`${missing.length} dead letters are missing, as that of ${missing[0]}`] : [],
      ...wrong.length > 0 ? [`${wrong.length} dead letters are about events, as that of ${wrong[0]}`] : []
    ]
  }
}
