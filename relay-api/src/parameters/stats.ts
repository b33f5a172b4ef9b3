/** `stats`: a comma-separated list of statistics. */
import { RelayError } from 'relay-common'
import { Type } from 'typebox'

import { findStatistic, statisticNames, type Statistic } from '../query/statistics.ts'
import { didYouMean } from './nearest.ts'

const STATISTICS_MAX = 50

export const Statistics = Type.String({
  default: 'count,avg,min,max,median',
  maxLength: 1_000,
  description: `statistics, separated by commas: ${statisticNames.join(', ')} (any percentile: p99.9). ` +
    'Each percentile has an error: the true value is within ± error; 0: exact. `increase` (a falling value counts as ' +
    'a counter reset to 0), `rate` (increase per second) and `timeWeightedAvg` are computed from the ' +
    'readings stored in minutes; a gap longer than `maxGap` between two readings is left out'
})

/** @throws RelayError RELAY_PARAMETER_INVALID */
export function parseStatistics (stats: string): Statistic[] {
  const names = [...new Set(stats.split(',').map(it => it.trim()))]
  if (names.length > STATISTICS_MAX) throw invalid(`stats has more than ${STATISTICS_MAX} names`)
  const statistics = new Map<string, Statistic>() // p50 and p50.0 are one, and would be one member of a row twice
  for (const name of names) {
    const found = findStatistic(name)
    if (found) {
      statistics.set(found.name, found)
      continue
    }
    throw invalid(`stats has ${name === '' ? 'an empty name' : name.slice(0, 64)}, but must be of ` +
      `${statisticNames.join(', ')}${didYouMean(name, statisticNames)}`)
  }
  return [...statistics.values()]
}

function invalid (message: string): RelayError {
  return new RelayError('RELAY_PARAMETER_INVALID', message, { parameter: 'stats' })
}
