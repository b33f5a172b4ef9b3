/** A deployment beside the faults: partitions go to another generation of processors, and back, or all to it. */
import { otherGeneration, type Database, type Owners } from './database.ts'
import type { Log } from './log.ts'
import type { World } from './world.ts'

/** A canary that is promoted or given back; or several. @param withinMs time of the steps */
export function scheduleDeployment (world: World, log: Log, database: Database, withinMs: number): void {
  const { chance } = world
  const steps = chance.between(1, 5)
  for (let n = 0; n < steps; n++) {
    world.schedule(chance.below(withinMs), 'a step of the deployment', () => {
      const { active, canary } = database.owners
      const { topicId, partitions } = log.topic
      const none: ReadonlySet<number> = new Set()
      const [step, owners]: readonly [string, Owners] = canary.size === 0
        ? ['canary', { active, canary: new Set([...partitions.keys()].filter(() => chance.happens(0.5))) }]
        : chance.happens(0.5)
          ? ['promoted', { active: otherGeneration(active), canary: none }]
          : ['given back', { active, canary: none }]
      database.changeOwners(topicId, owners).then(() => world.count(step), () => {}) // whoever deploys sees why
    })
  }
}

/** Whether each partition was last claimed by the generation that it belongs to. */
export function areOwnersRight (log: Log, database: Database): boolean {
  return [...database.progress.values()]
    .every(it => it.topicId !== log.topic.topicId || it.generation === database.ownerOf(it.partition))
}

export function findForeignClaims ({ foreignClaims }: Database): string[] {
  return foreignClaims > 0 ? [`${foreignClaims} claims were of a generation that does not own the partition`] : []
}
