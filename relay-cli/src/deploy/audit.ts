import { writeAudit } from 'relay-access'
import type { PoolClient } from 'relay-common'
import type { Topic } from 'relay-event-log'
import type { Canary } from 'relay-processor/deployment'

import { actor } from '../actor.ts'

/** Records a step of a deployment, in its transaction. */
export async function audit (
  client: PoolClient, act: string, { generation, partitions }: Pick<Canary, 'generation' | 'partitions'>, topic: Topic
): Promise<void> {
  await writeAudit(client, actor(), act, topic.name, {
    generation,
    partitions: partitions.filter(it => it.isCanary).map(({ partition, fromOffset, toOffset }) =>
      ({ partition, from: fromOffset.toString(), to: toOffset?.toString() }))
  })
}
