/** Small bodies that become large, deep or many: gzip, blank lines, nested JSON. */
import { gzipSync } from 'node:zlib'

import { OWN_PREFIX, OWN_ZONE, type Attack } from '../attack.ts'
import { eventOf, type Attacker } from '../attacker.ts'

const MB = 1024 * 1024
const BODY_MAX = 8 * MB
/** a body of what the API is for takes less */
const ANSWERED_WITHIN_MS = 10_000

type Make = () => string | Buffer

/**
 * A body, again and again, one at a time, with rests as long as it took: an attacker who wants to be seen by nobody.
 */
function body (kind: string, name: string, what: string, make: Make, type = 'application/x-ndjson'): Attack {
  const bytes = gzipSync(make())
  const input = `${what}: ${bytes.length < 10_000 ? `${bytes.length} bytes` : `${Math.round(bytes.length / 1_000)} KB`} gzipped`
  return {
    name: `${kind}/${name}`,
    who: 'write key',
    input: `${input}, one after the other with a rest of 100 ms`,
    holds: 'each is answered',
    async run (attacker) {
      while (!attacker.isOver) {
        const { status, ms } = await attacker.ask({
          method: 'POST',
          path: '/api/v1/events',
          body: bytes,
          headers: { 'content-type': type, 'content-encoding': 'gzip' }
        })
        attacker.expect(status !== 0, 'no answer')
        attacker.expectWithin(ms, ANSWERED_WITHIN_MS, 'an answer')
        await attacker.pause(100)
      }
    }
  }
}

const lines = (name: string, what: string, make: Make) => body('blank-bodies', name, what, make)
const json = (name: string, what: string, make: Make, type?: string) => body('json-shapes', name, what, make, type)

export const blankBodies: readonly Attack[] = [
  lines('line-feeds', '8 MB of line feeds', () => Buffer.alloc(BODY_MAX - 1, '\n')),
  lines('crlf', '8 MB of CR LF', () => Buffer.alloc(BODY_MAX - 2, '\r\n')),
  lines('one-line-of-spaces', '8 MB of spaces without a line feed', () => Buffer.alloc(BODY_MAX - 1, ' ')),
  lines('spaces-and-line-feeds', '8 MB of lines of a space and a tab', () => Buffer.alloc(BODY_MAX - 3, ' \t\n')),
  lines(
    'feed-behind-spaces', '4 MB of carriage returns, then 4 MB of line feeds',
    () => Buffer.concat([Buffer.alloc(4 * MB - 1, '\r'), Buffer.alloc(4 * MB - 1, '\n')])
  ),
  body('blank-bodies', 'array-of-space', 'a JSON array of 8 MB of white space', () => `[${' \n'.repeat(4 * MB - 16)}]`, 'application/json'),
  body('blank-bodies', 'space-around-items', 'an array of 8,000 items with 1,000 spaces between them', () => `[${Array(8_000).fill('1').join(' '.repeat(1_000) + ',')}]`, 'application/json')
]

const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const withExtra = (n: number, extra: string) => eventOf(`${OWN_PREFIX}${n}`, OWN_ZONE).replace(/}$/, `,"x":${extra}}`)
const repeated = (count: number, line: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => line(n)).join('\n')

export const jsonShapes: readonly Attack[] = [
  json('deep-lines', '130 events of 30,000 nested arrays each', () => repeated(130, n => withExtra(n, deep(30_000)))),
  json(
    'deep-objects', '60 events of 10,000 nested objects each',
    () => repeated(60, n => withExtra(n, '{"a":'.repeat(10_000) + '1' + '}'.repeat(10_000)))
  ),
  json('one-nest', '8 MB of open brackets', () => '['.repeat(BODY_MAX - 1), 'application/json'),
  json('open-braces', 'lines of 60 KB of open braces with names', () => repeated(130, () => '{"a":'.repeat(12_000))),
  json('many-names', '120 events of 8,000 members', () => repeated(120, n => withExtra(n, `{${Array.from({ length: 5_000 }, (_, m) => `"k${m}":0`).join(',')}}`))),
  json('many-top-names', '120 events of 6,000 members beside the five', () => repeated(120, n => eventOf(`${OWN_PREFIX}${n}`, OWN_ZONE).replace(/}$/, Array.from({ length: 6_000 }, (_, m) => `,"k${m}":0`).join('') + '}'))),
  json('escapes', '130 events with a name of 10,000 escapes', () => repeated(130, n => withExtra(n, `"${'\\u0041'.repeat(10_000)}"`))),
  json('digits', '130 events with a value of 60,000 digits', () => repeated(130, n => eventOf(`${OWN_PREFIX}${n}`, OWN_ZONE).replace('"value":21.5', `"value":${'1'.repeat(60_000)}`))),
  json(
    'open-strings', '130 lines of a string without an end',
    () => repeated(130, () => '{"deviceId":"' + 'a\\'.repeat(30_000))
  ),
  json('all-refused', '10,000 lines that are refused with a detail each', () => repeated(10_000, n => `{"deviceId":"${OWN_PREFIX}${n}","deviceType":"${'N'.repeat(90)}","zone":"x","value":1,"timestamp":0}`)),
  json('scalar-items', 'an array of 10,001 numbers', () => `[${Array(10_001).fill('1')}]`, 'application/json'),
  {
    name: 'json-shapes/keys-body',
    who: 'admin',
    input: '64 KB of nested JSON as the body of POST /keys, 20 a second',
    holds: '400',
    async run (attacker) {
      const bodies = ['{"a":'.repeat(12_000), deep(32_000), `{"name":"a","scopes":[${Array(9_000).fill('"admin"')}]}`, `{"__proto__":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`]
      for (let n = 0; !attacker.isOver; n++) {
        const { status } = await attacker.ask({
          method: 'POST',
          path: '/api/v1/keys',
          token: attacker.target.adminToken,
          body: bodies[n % bodies.length],
          headers: { 'content-type': 'application/json' }
        })
        attacker.expect(status === 400 || status === 413 || status === 429, `status ${status} for a body that is none`)
        await attacker.pause(50)
      }
    }
  },
  {
    name: 'json-shapes/generated',
    who: 'write key',
    input: 'generated bodies: brackets, quotes, escapes and commas at random, 10 bytes to 20 KB, one after the other',
    holds: 'each is refused, or takes what is an event',
    spanMs: 14_000,
    async run (attacker) {
      const { chance } = attacker
      const pieces = ['[', ']', '{', '}', '"', '\\', ',', ':', '\n', ' ', '1', 'null', '"a":', '\u0000', 'é', '1e999', '\\u', '-', eventOf(`${OWN_PREFIX}9`, OWN_ZONE)]
      for (let n = 0; n < attacker.generated; n++) {
        const unit = Array.from({ length: chance.between(1, 30) }, () => chance.pick(pieces)).join('')
        const text = unit.repeat(chance.happens(0.1) ? chance.between(1, 200) : 1).slice(0, 20_000)
        const { status } = await attacker.ask({
          method: 'POST',
          path: '/api/v1/events',
          body: text,
          headers: { 'content-type': chance.happens(0.5) ? 'application/json' : 'application/x-ndjson' }
        })
        attacker.expect([202, 207, 400, 413, 415, 422, 429, 503].includes(status), `status ${status} for a generated body`)
        await attacker.pause(1)
      }
    }
  }
]

/** Made before the attack begins, because its CPU time would delay honest answers too. */
const bomb = gzipSync(Buffer.alloc(100 * MB))

/** Bodies that don't inflate as they should. */
export const gzipBodies: readonly Attack[] = [
  {
    name: 'gzip/too-large',
    who: 'write key',
    input: '100 MB of zeros, 100 KB gzipped, 8 at once',
    holds: '413 after its first part, or 429',
    async run (attacker) {
      while (!attacker.isOver) {
        await Promise.all(Array.from({ length: 8 }, async () => {
          const { status } = await sendGzip(attacker, bomb)
          attacker.expect([413, 429].includes(status), `status ${status} for a bomb`)
        }))
        await attacker.pause(200)
      }
    }
  },
  {
    name: 'gzip/broken',
    who: 'write key',
    input: 'gzip that is cut off, changed, or none, 40 a second',
    holds: '400',
    async run (attacker) {
      const whole = gzipSync(eventOf(`${OWN_PREFIX}1`, OWN_ZONE))
      while (!attacker.isOver) {
        const bytes = Buffer.from(whole)
        const at = attacker.chance.below(bytes.length)
        bytes[at] ^= 1 + attacker.chance.below(255)
        const { status } = await sendGzip(attacker, attacker.chance.happens(0.5) ? bytes : whole.subarray(0, at))
        attacker.expect([202, 207, 400, 413, 422, 429].includes(status), `status ${status} for a broken gzip`)
        await attacker.pause(20)
      }
    }
  },
  {
    name: 'gzip/many-members',
    who: 'write key',
    input: '20,000 empty members of gzip behind each other (400 KB), one after the other',
    holds: 'each is answered',
    async run (attacker) {
      const empty = gzipSync('')
      const bytes = Buffer.concat(Array<Buffer>(20_000).fill(empty))
      while (!attacker.isOver) {
        const { status } = await sendGzip(attacker, bytes)
        attacker.expect(status !== 0, 'no answer')
        await attacker.pause(100)
      }
    }
  }
]

async function sendGzip (attacker: Attacker, bytes: Buffer) {
  return await attacker.ask({
    method: 'POST',
    path: '/api/v1/events',
    body: bytes,
    headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }
  })
}
