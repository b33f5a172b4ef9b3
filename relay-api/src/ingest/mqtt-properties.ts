/** Which properties of MQTT 5 a client may send with which packet, and how often (section 2.2.2 of the standard). */
import type { Packet } from 'mqtt-packet'

import type { MqttReason } from './mqtt-packets.ts'

const ofMessage = [
  'payloadFormatIndicator', 'messageExpiryInterval', 'contentType', 'responseTopic', 'correlationData', 'userProperties'
]
const ofAnswer = ['reasonString', 'userProperties']

/** by packet; others have none, or clients may not send them */
const allowed: Readonly<Record<string, readonly string[]>> = {
  connect: [
    'sessionExpiryInterval', 'receiveMaximum', 'maximumPacketSize', 'topicAliasMaximum', 'requestResponseInformation',
    'requestProblemInformation', 'userProperties', 'authenticationMethod', 'authenticationData'
  ],
  will: [...ofMessage, 'willDelayInterval'],
  publish: [...ofMessage, 'topicAlias'],
  pubrel: ofAnswer,
  subscribe: ['subscriptionIdentifier', 'userProperties'],
  unsubscribe: ['userProperties'],
  disconnect: [...ofAnswer, 'sessionExpiryInterval']
}

/** @returns the first error in the properties of a packet, and of its will */
export function faultOfProperties (
  packet: Packet
): { readonly reason: MqttReason, readonly detail: string } | undefined {
  const { cmd, properties, will } = packet as { cmd: string, properties?: object, will?: { properties?: object } }
  return faultOf(cmd, properties) ?? faultOf('will', will?.properties)
}

function faultOf (cmd: string, properties: object | undefined): ReturnType<typeof faultOfProperties> {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (cmd === 'publish' && name === 'subscriptionIdentifier') {
      return { reason: 'protocolError', detail: 'a subscription identifier, which only servers send' }
    }
    if (allowed[cmd] && !allowed[cmd].includes(name)) {
      return { reason: 'malformed', detail: `${cmd} has no property ${name}` }
    }
    if (Array.isArray(value)) return { reason: 'protocolError', detail: `the property ${name} twice` }
    if (name === 'responseTopic' && /[+#]/.test(String(value))) {
      return { reason: 'protocolError', detail: 'a response topic with wildcards' }
    }
  }
  return undefined
}
