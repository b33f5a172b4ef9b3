/**
 * By which protocol the members of a group agree on who reads what. Where brokers offer that of KIP-848 we speak it, and
 * the classic one elsewhere: a broker before 4.0, or one whose `group.coordinator.rebalance.protocols` leaves it out.
 */
import { randomUUID } from 'node:crypto'

import { findErrorBy, UnsupportedApiError } from '@platformatic/kafka'

import { RelayError } from '../errors.ts'
import { hasCode, isRetriable, kafkaErrors, type GroupProtocol, type KafkaClient } from './kafka-client.ts'

/** epoch of a member that leaves */
const LEAVING = -1

/** Whether a broker is too old for the protocol, or has been told not to speak it. */
export function isUnsupported (error: unknown): boolean {
  return hasCode(error, kafkaErrors.UNSUPPORTED_VERSION) ||
    findErrorBy(error as Error, 'code', UnsupportedApiError.code as 'PLT_KFK_UNSUPPORTED_API') !== null
}

/**
 * Which of the two a group is to use. A broker that has been told not to speak KIP-848 lists its requests all the same,
 * so it is asked by one: of a member that nobody knows, which wants to leave. Any broker will do.
 * @throws Error the broker can't be reached: to be tried again
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
    // any answer of the protocol, also "not to me" and "not you", is one in that language
    if (isRetriable(error) && !isAnswer(error)) throw error
  }
  return 'consumer'
}

function isAnswer (error: unknown): boolean {
  return (error as { response?: unknown }).response !== undefined
}

/** The error of a group that others use: other programs, or members that speak the other protocol. */
export function groupForeign (group: string, servers: string, cause: unknown): RelayError {
  return new RelayError('RELAY_GROUP_FOREIGN',
    `the consumer group ${group} on Kafka at ${servers} has members with another group protocol: another ` +
    'program, or a Relay program with another KAFKA_GROUP_PROTOCOL. Set another CONSUMER_GROUP, or stop the others',
    { cause })
}
