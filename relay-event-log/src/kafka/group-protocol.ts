/**
 * Which protocol a group uses: KIP-848 if the brokers support it, else the classic one. The latter is for brokers
 * before 4.0, or with a `group.coordinator.rebalance.protocols` that excludes KIP-848.
 */
import { randomUUID } from 'node:crypto'

import { findErrorBy, UnsupportedApiError } from '@platformatic/kafka'

import { RelayError } from 'relay-common'
import { hasCode, isRetriable, kafkaErrors, type GroupProtocol, type KafkaClient } from './client.ts'

/** epoch of a member that leaves */
const LEAVING = -1

/** Whether a broker is too old for the protocol, or has it disabled. */
export function isUnsupported (error: unknown): boolean {
  return hasCode(error, kafkaErrors.UNSUPPORTED_VERSION) ||
    findErrorBy(error as Error, 'code', UnsupportedApiError.code as 'PLT_KFK_UNSUPPORTED_API') !== null
}

/**
 * Chooses the protocol of a group. A broker with KIP-848 disabled still lists its requests, so it is tested by one: an
 * unknown member that leaves. Any broker will do.
 * @throws Error if the broker is unreachable: retry
 */
export async function chooseProtocol (
  client: KafkaClient, wanted: GroupProtocol, group: string
): Promise<Exclude<GroupProtocol, 'auto'>> {
  if (wanted !== 'auto') return wanted
  try {
    await client.call('ConsumerGroupHeartbeat', await client.anyBroker(),
      group, randomUUID(), LEAVING, null, null, -1, null, null, null, [])
  } catch (error) {
    if (isUnsupported(error)) return 'classic'
    // any answer, including a refusal, proves that the broker speaks the protocol
    if (isRetriable(error) && !isAnswer(error)) throw error
  }
  return 'consumer'
}

function isAnswer (error: unknown): boolean {
  return (error as { response?: unknown }).response !== undefined
}

/** The error for a group that others use: other programs, or members with the other protocol. */
export function groupForeign (group: string, servers: string, cause: unknown): RelayError {
  return new RelayError('RELAY_GROUP_FOREIGN',
    `the consumer group ${group} on Kafka at ${servers} has members with another group protocol: another ` +
    'program, or a Relay program with another KAFKA_GROUP_PROTOCOL. Set another CONSUMER_GROUP, or stop the others',
    { cause })
}
