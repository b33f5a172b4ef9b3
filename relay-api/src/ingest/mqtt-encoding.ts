/**
 * Errors in the bytes of a packet that `mqtt-packet` accepts: texts that are not UTF-8, lengths in more bytes than
 * needed, properties that are sent twice or belong to another packet, bytes after the end. Reads the packet once more,
 * field by field, without its payload.
 */
import { isUtf8 } from 'node:buffer'

import type { Packet } from 'mqtt-packet'

import type { MqttReason, MqttVersion } from './mqtt-packets.ts'
import { properties, type PropertyKind } from './mqtt-properties.ts'

export interface EncodingFault {
  readonly reason: MqttReason
  readonly detail: string
}

const WILL = 0x04
const PASSWORD = 0x40
const USER_NAME = 0x80
const VARINT_BYTES_MAX = 4

const hasWildcards = (topic: Buffer) => topic.includes('+') || topic.includes('#')

/**
 * @param bytes one whole packet
 * @param packet what the library has read from it
 * @returns the first error; undefined: none, or the packet is not one that clients send with content
 */
export function faultOfEncoding (bytes: Buffer, packet: Packet, version: MqttVersion): EncodingFault | undefined {
  const fields = new Fields(bytes, 1)
  const isFive = version === 5
  fields.varint(isFive) // MQTT 3.1.1 does not ask for the shortest one
  switch (packet.cmd) {
    case 'connect': {
      fields.text() // MQTT
      fields.number(1)
      const flags = fields.number(1)
      fields.number(2)
      if (isFive) fields.properties('connect')
      fields.text()
      if (flags & WILL) {
        if (isFive) fields.properties('will')
        if (hasWildcards(fields.text())) fields.fail('topicNameInvalid', 'a will with wildcards in its topic')
        fields.binary()
      }
      if (flags & USER_NAME) fields.text()
      if (flags & PASSWORD) fields.binary()
      break
    }
    case 'publish': {
      fields.text()
      if (packet.qos > 0) fields.number(2)
      if (isFive) fields.properties('publish')
      return fields.fault // the rest is the payload
    }
    case 'subscribe': case 'unsubscribe': {
      fields.number(2)
      if (isFive) fields.properties(packet.cmd)
      while (fields.restBytes > 0 && !fields.fault) {
        fields.text()
        if (packet.cmd === 'subscribe') fields.number(1)
      }
      break
    }
    case 'pubrel': case 'disconnect': {
      if (packet.cmd === 'pubrel') fields.number(2)
      if (isFive && fields.restBytes > 0) fields.number(1)
      if (isFive && fields.restBytes > 0) fields.properties(packet.cmd)
      break
    }
    case 'pingreq': break
    default: return undefined
  }
  if (isFive && fields.restBytes > 0) fields.fail('malformed', `${packet.cmd} with bytes after its end`)
  return fields.fault
}

/** Reads fields one after the other, and keeps the first error; after one it reads zeros and empty values. */
class Fields {
  fault: EncodingFault | undefined
  readonly #bytes: Buffer
  #at: number

  constructor (bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  get restBytes (): number { return this.#bytes.length - this.#at }

  fail (reason: MqttReason, detail: string): void {
    this.fault ??= { reason, detail }
  }

  number (sizeBytes: 1 | 2 | 4): number {
    const at = this.#at
    return this.#pass(sizeBytes) ? this.#bytes.readUIntBE(at, sizeBytes) : 0
  }

  /** Section 1.5.5 of the standard. */
  varint (isShortest = true): number {
    let value = 0
    for (let place = 0; place < VARINT_BYTES_MAX; place++) {
      const byte = this.number(1)
      value += (byte & 0x7f) * 2 ** (7 * place)
      if (byte & 0x80) continue
      if (isShortest && byte === 0 && place > 0) this.fail('malformed', 'a length in more bytes than needed')
      return value
    }
    this.fail('malformed', `a length of more than ${VARINT_BYTES_MAX} bytes`)
    return 0
  }

  binary (): Buffer {
    const sizeBytes = this.number(2)
    const at = this.#at
    return this.#pass(sizeBytes) ? this.#bytes.subarray(at, this.#at) : Buffer.alloc(0)
  }

  /** Section 1.5.4 of the standard. */
  text (): Buffer {
    const bytes = this.binary()
    if (!isUtf8(bytes) || bytes.includes(0)) this.fail('malformed', 'a text that is not UTF-8')
    return bytes
  }

  /** @param owner the packet that they belong to, or `will` */
  properties (owner: string): void {
    const sizeBytes = this.varint()
    const end = this.#at + sizeBytes
    let seen: Set<number> | undefined
    while (this.#at < end && !this.fault) {
      const id = this.number(1)
      const property = properties[id]
      if (!property) return this.fail('malformed', 'an unknown property')
      const { name, kind, packets } = property
      if (name === 'subscriptionIdentifier' && owner === 'publish') {
        return this.fail('protocolError', 'a subscription identifier, which only servers send')
      }
      if (!packets.has(owner)) return this.fail('malformed', `${owner} has no property ${name}`)
      if (kind !== 'pair' && seen?.has(id)) return this.fail('protocolError', `the property ${name} twice`)
      seen = (seen ?? new Set()).add(id)
      this.#value(name, kind)
    }
    if (this.#at !== end) this.fail('malformed', 'properties whose length is wrong')
  }

  #value (name: string, kind: PropertyKind): void {
    switch (kind) {
      case 'flag':
        if (this.number(1) > 1) this.fail('protocolError', `${name} must be 0 or 1`)
        break
      case 'number-2':
        this.number(2)
        break
      case 'number-4':
        this.number(4)
        break
      case 'varint':
        if (this.varint() === 0) this.fail('protocolError', `${name} must not be 0`)
        break
      case 'text':
        this.text()
        break
      case 'topic':
        if (hasWildcards(this.text())) this.fail('protocolError', `${name} with wildcards`)
        break
      case 'binary':
        this.binary()
        break
      case 'pair':
        this.text()
        this.text()
    }
  }

  /** @returns whether there were that many bytes */
  #pass (sizeBytes: number): boolean {
    if (sizeBytes <= this.restBytes) {
      this.#at += sizeBytes
      return true
    }
    this.#at = this.#bytes.length
    this.fail('malformed', 'a packet that ends early')
    return false
  }
}
