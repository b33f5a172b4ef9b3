/** Parameters that say what: `stats`, a list with commas. */
import { RelayError } from 'relay-common'
import { Type } from 'typebox'

import { findStatistic, statisticNames, type Statistic } from '../query/statistics.ts'
import { askIfMeant } from './nearest.ts'

const STATISTICS_MAX = 50

export const Statistics = Type.String({
  default: 'count,avg,min,max,median',
  maxLength: 1_000,
  description: `which numbers, commas between them: ${statisticNames.join(', ')} (any percentile: p99.9). ` +
    'A percentile has an error beside it: the true one is within ± that; 0: it is exact. `increase` (a value that ' +
    'falls is a counter that began at 0 again), `rate` (increase a second) and `timeWeightedAvg` are made of the ' +
    'readings that minutes keep; readings further apart than `maxGap` have nothing between them'
})

/** @throws RelayError RELAY_PARAMETER_INVALID */
export function readStatistics (stats: string): Statistic[] {
  const names = [...new Set(stats.split(',').map(it => it.trim()))]
  if (names.length > STATISTICS_MAX) throw invalid(`stats are more than ${STATISTICS_MAX}`)
  return names.map(name => {
    const found = findStatistic(name)
    if (found) return found
    throw invalid(`stats has ${name === '' ? 'an empty name' : name.slice(0, 64)} in it, which is not one of ` +
      `${statisticNames.join(', ')}${askIfMeant(name, statisticNames)}`)
  })
}

function invalid (message: string): RelayError {
  return new RelayError('RELAY_PARAMETER_INVALID', message, { parameter: 'stats' })
}
