/**
 * Topics of MQTT:
 *
 *     iot-events, devices/<id>/events       events, of any device or of one; a slash before them changes nothing
 *     $SYS/…                                what brokers say of themselves: bridges do so wherever they connect
 *     all else                              births, wills, states: nobody listens here
 */

export type MqttTopic =
  /** @property deviceId the device of the events; undefined: any */
  | { readonly kind: 'events', readonly deviceId?: string }
  | { readonly kind: 'system' | 'other' }

const ofDevice = /^devices\/([^/+#]+)\/events$/

/** Topic aliases of MQTT 5: numbers that a client sends in place of a topic that it has named before. */
export class TopicAliases {
  readonly #max: number
  readonly #topics = new Map<number, string>()

  constructor (max: number) {
    this.#max = max
  }

  /** @returns the topic of a message; undefined: an unknown alias */
  resolve (topic: string, alias: number | undefined): string | undefined {
    if (alias === undefined) return topic
    if (alias > this.#max) return undefined
    if (topic !== '') this.#topics.set(alias, topic)
    return this.#topics.get(alias)
  }
}

/** @param events name of the topic for events of any device */
export function topicOf (name: string, events: string): MqttTopic {
  const found = kindOf(name, events)
  return found.kind === 'other' && name.startsWith('/') ? kindOf(name.slice(1), events) : found
}

function kindOf (name: string, events: string): MqttTopic {
  if (name === events) return { kind: 'events' }
  const deviceId = ofDevice.exec(name)?.[1]
  if (deviceId !== undefined) return { kind: 'events', deviceId }
  return { kind: name.startsWith('$') ? 'system' : 'other' }
}
