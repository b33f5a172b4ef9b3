/** All attacks, in the order of the suite: those that leave most series and partitions behind come last. */
import { Chance } from 'relay-test-support/chance.ts'
import { kindOf, type Attack } from './attack.ts'
import { abandoned, largeAnswers } from './cases/abandoned.ts'
import { blankBodies, gzipBodies, jsonShapes } from './cases/bodies.ts'
import { heads } from './cases/heads.ts'
import { inside } from './cases/inside.ts'
import { keys } from './cases/keys.ts'
import { lockout } from './cases/lockout.ts'
import { mqttGrants } from './cases/mqtt-grants.ts'
import { mqttLoad } from './cases/mqtt-load.ts'
import { fragments, mqttPackets } from './cases/mqtt-packets.ts'
import { openRoutes } from './cases/open-routes.ts'
import { operations } from './cases/operations.ts'
import { parameters } from './cases/parameters.ts'
import { series } from './cases/series.ts'
import { slow } from './cases/slow.ts'
import { streams } from './cases/streams.ts'
import { tokens } from './cases/tokens.ts'

const all: readonly Attack[] = [
  ...slow, ...openRoutes, ...tokens, ...lockout, ...keys, ...heads, ...parameters, ...inside, ...mqttGrants,
  ...mqttPackets, ...fragments,
  ...mqttLoad, ...streams, ...blankBodies, ...jsonShapes, ...gzipBodies, ...largeAnswers, ...abandoned, ...series,
  ...operations
]
const isLasting = (it: Attack) => it.closedWithinMs !== undefined

/** Those that leave connections open come first: their deadlines are over when all others have run. */
export const attacks: readonly Attack[] = [...all.filter(isLasting), ...all.filter(it => !isLasting(it))]

/** One attack of each kind, in the common order. @param seed selects them */
export function sampleOf (some: readonly Attack[], seed: number): Attack[] {
  const chance = new Chance(seed)
  const sample = new Set(Map.groupBy(some, it => kindOf(it.name)).values().map(ofKind => chance.pick(ofKind)))
  return some.filter(it => sample.has(it))
}
