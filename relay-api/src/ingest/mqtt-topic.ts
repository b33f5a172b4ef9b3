/** Topics of MQTT that events may be published to: `iot-events`, and `devices/<id>/events` for those of one device. */

const ofDevice = /^devices\/([^/+#]+)\/events$/

/** @param events name of the topic for events of any device */
export function isEventTopic (topic: string, events: string): boolean {
  return topic === events || ofDevice.test(topic)
}

/** The device that a topic is of; undefined: of any. */
export function deviceOf (topic: string): string | undefined {
  return ofDevice.exec(topic)?.[1]
}
