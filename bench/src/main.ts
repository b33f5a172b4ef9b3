/**
 * `npm run bench -- processor`: figures with their peers, measured in one run on one machine.
 */
import { Command } from 'commander'

import { benchProcessor } from './processor.ts'

const program = new Command('bench').description('Benchmarks of Relay beside their peers')

program.command('processor')
  .description('a backlog of events to the last commit, beside the consumer benchmark of the Kafka distribution')
  .option('--events <n>', 'events in the backlog', Number, 5_000_000)
  .option('--devices <n>', 'devices, one event a second each', Number, 1_000)
  .option('--partitions <n>', 'partitions of the topic', Number, 8)
  .option('--repeats <n>', 'repeats, interleaved', Number, 3)
  .option('--cpu-prof <folder>', 'write CPU profiles of the processor there')
  .action(benchProcessor)

await program.parseAsync()
