import fc from 'fast-check'

const oddValues = [
  0, -0, Number.MIN_VALUE, -Number.MIN_VALUE, Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** 53, 2 ** 53 + 2, 2 ** 960,
  -(2 ** 960), 2 ** 480, 2 ** -485, 2 ** -486, 1e-300, 1e20, 1e15, 0.1, 1 / 3
]

/** One value of any kind that devices send, or that breaks arithmetic: -0, subnormals, the ends of the range. */
export const anyValue: fc.Arbitrary<number> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -400, max: 1200 }).map(tenths => tenths / 10) },
  { weight: 2, arbitrary: fc.integer({ min: -9_000_000, max: 9_000_000 }).map(scaled => scaled / 1e5) },
  { weight: 2, arbitrary: fc.integer({ min: -5, max: 5 }) },
  { weight: 3, arbitrary: fc.double({ min: -1000, max: 1000, noNaN: true }) },
  { weight: 3, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  { weight: 1, arbitrary: fc.constantFrom(...oddValues) }
)

/** A device that reports in steps: many values, few of them distinct. */
const steppedValues = (lengthMax: number) => fc.tuple(
  fc.integer({ min: -500, max: 1500 }), fc.integer({ min: 1, max: 40 }), fc.constantFrom(1, 2, 4, 10, 100, 1e6),
  fc.array(fc.nat(1000), { maxLength: lengthMax })
).map(([start, steps, scale, picks]) => picks.map(pick => (start + pick % steps) / scale))

/** Values of one bucket: all of one kind, or anything, in any order. */
export const anyValues = (lengthMax = 300): fc.Arbitrary<number[]> => fc.oneof(
  steppedValues(lengthMax),
  fc.array(anyValue, { maxLength: lengthMax }),
  fc.array(fc.double({ min: 10, max: 30, noNaN: true }), { maxLength: lengthMax, size: 'max' }),
  fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { maxLength: lengthMax, size: 'max' })
)

/** Values of a bucket with similar magnitudes, anywhere from subnormal to the end of the range. */
export const alikeValues = (lengthMax = 300): fc.Arbitrary<number[]> => fc.tuple(
  fc.integer({ min: -1074, max: 1010 }), fc.array(fc.double({ min: -8192, max: 8191, noNaN: true }), {
    minLength: 1, maxLength: lengthMax, size: 'max'
  }), fc.boolean()
).map(([exponent, values, isOneSided]) => values.map(value =>
  (isOneSided ? Math.abs(value) / 2 ** 40 + 1 : value) * 2 ** Math.floor(exponent / 2) * 2 ** Math.ceil(exponent / 2)))

/** Possible numbers of readings. */
export const anyCount: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 53 }).map(exponent => 2 ** exponent),
  fc.integer({ min: 1, max: 2 ** 53 - 1 })
)

/** Values with exact squares, or 0. */
export const squarableValue: fc.Arbitrary<number> = anyValue.filter(value =>
  value === 0 || (Math.abs(value) >= 2 ** -485 && Math.abs(value) < 2 ** 480))

/** An order as a function: the same choices give the same order. */
export const anyOrder = (): fc.Arbitrary<<T>(things: readonly T[]) => T[]> =>
  fc.array(fc.nat(), { minLength: 1, maxLength: 50 }).map(choices => things => {
    const left = [...things]
    return things.map((_, n) => left.splice(choices[n % choices.length] % left.length, 1)[0])
  })

/** Splits things into parts of limited size, some of them empty. */
export const anyCuts = (partMax = 50): fc.Arbitrary<<T>(things: readonly T[]) => T[][]> =>
  fc.array(fc.nat(partMax), { minLength: 1, maxLength: 10 }).map(sizes => things => {
    const parts = []
    for (let at = 0, n = 0; at < things.length; n++) {
      const size = sizes[n % sizes.length] + (n > 20 ? 1 : 0) // continues even if all sizes are 0
      parts.push(things.slice(at, at += size))
    }
    return parts
  })

/** Merges things pairwise, in any tree, until one is left. */
export const anyMergeTree = (): fc.Arbitrary<<T>(things: T[], merge: (into: T, from: T) => void) => T> =>
  fc.array(fc.nat(), { minLength: 1, maxLength: 50 }).map(choices => (things, merge) => {
    const left = [...things]
    for (let n = 0; left.length > 1; n++) {
      const [from] = left.splice(choices[n % choices.length] % left.length, 1)
      merge(left[choices[(n + 1) % choices.length] % left.length], from)
    }
    return left[0]
  })

/** Damage to bytes: some changed, some removed, some inserted. */
export const anyDamage = (): fc.Arbitrary<(bytes: Uint8Array) => Buffer> => fc.array(fc.tuple(
  fc.constantFrom('change', 'cut', 'insert'), fc.nat(), fc.nat(255)
), { minLength: 1, maxLength: 4 }).map(faults => bytes => {
  const damaged = [...bytes]
  for (const [kind, place, byte] of faults) {
    const at = place % Math.max(damaged.length, 1)
    if (kind === 'change') damaged[at] = byte
    else if (kind === 'cut') damaged.splice(at, 1 + byte % 8)
    else damaged.splice(at, 0, byte)
  }
  return Buffer.from(damaged)
})
