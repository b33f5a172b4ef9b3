/** MurmurHash2 by Austin Appleby, with the seed of Kafka's `Utils.murmur2`; 32 bits, signed. */
export function murmur2 (bytes: Uint8Array): number {
  const seed = 0x9747b28c
  const m = 0x5bd1e995
  const length = bytes.length
  let h = seed ^ length
  let at = 0
  for (; at + 4 <= length; at += 4) {
    let k = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = length - at
  if (rest > 2) h ^= bytes[at + 2] << 16
  if (rest > 1) h ^= bytes[at + 1] << 8
  if (rest > 0) h = Math.imul(h ^ bytes[at], m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}
