/**
 * Reproducible randomness: a pure function of a seed and a place, the same in any order and after any restart. Nothing
 * here has state.
 */

/** Spreads 32 bits over 32 bits: the finalizer of MurmurHash3 (Appleby 2011). */
function mix (bits: number): number {
  bits ^= bits >>> 16
  bits = Math.imul(bits, 0x85ebca6b)
  bits ^= bits >>> 13
  bits = Math.imul(bits, 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}

/** A separate seed for each name under a seed: FNV-1a over the UTF-16 units, then mixed. */
export function seedOf (seed: number, name: string): number {
  let hash = 0x811c9dc5 ^ mix(seed)
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193)
  return mix(hash)
}

/**
 * A pseudo-random number: uniform in [0, 1), 32 bits.
 * @param seed 32 bits
 * @param place any whole number that a double holds, such as a time in ms
 */
export function chanceAt (seed: number, place: number): number {
  const high = Math.floor(place / 0x1_0000_0000)
  return (mix(mix(seed ^ Math.imul(high, 0x9e3779b1)) + (place | 0)) >>> 0) / 0x1_0000_0000
}

/** From 0 to 1 smoothly: 3x² - 2x³, flat at both ends. */
export function smoothStep (x: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  return x * x * (3 - 2 * x)
}

/**
 * A smooth random curve between -1 and 1: a random value every `scaleMs`, joined smoothly (value noise).
 * @param scaleMs typical time of a change
 */
export function wander (seed: number, timeMs: number, scaleMs: number): number {
  const cell = Math.floor(timeMs / scaleMs)
  const from = chanceAt(seed, cell)
  const to = chanceAt(seed, cell + 1)
  return 2 * (from + (to - from) * smoothStep(timeMs / scaleMs - cell)) - 1
}
