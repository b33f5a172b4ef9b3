/** A stranger makes up tokens. */
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Attack } from '../attack.ts'
import type { Attacker } from '../attacker.ts'

const PATHS = [
  '/api/v1/zones', '/api/v1/devices', '/api/v1/keys',
  '/api/events/zone/Honest?startTime=2026-01-14T00:00:00Z&endTime=2026-01-15T00:00:00Z'
]
/** An address that fails too often is made to wait, and then nothing is learned of its tokens. */
const PER_ADDRESS = 20

async function tryAll (attacker: Attacker, count: number, make: (n: number) => string): Promise<void> {
  let from = attacker.freshAddress()
  for (let n = 0; n < count; n++) {
    if (n % PER_ADDRESS === 0) from = attacker.freshAddress()
    const token = make(n)
    const { status } = await attacker.ask({ path: PATHS[n % PATHS.length], token, from })
    attacker.expect([401, 429, 431, 400].includes(status), `status ${status} for a token that was made up`)
    await attacker.pause(1)
  }
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A JWT that is wrong in one way or several. */
function forgedJwt (attacker: Attacker): string {
  const { chance, target } = attacker
  const now = Math.floor(Date.now() / 1_000)
  const issuer = `http://127.0.0.1:${target.issuerPort}`
  const header = {
    alg: chance.pick(['none', 'None', 'HS256', 'RS256', 'ES256', 'EdDSA', '', 'RS256\u001b[2J']),
    typ: chance.pick(['at+jwt', 'JWT', 'AT+JWT', undefined]),
    kid: chance.pick(['', '../../etc/passwd', '\u001b]0;owned\u0007', '\u009b2J', 'x'.repeat(200), undefined]),
    ...chance.happens(0.3) ? { jku: `${issuer}/evil`, jwk: { kty: 'oct', k: 'AAAA' } } : {},
    ...chance.happens(0.2) ? { crit: ['exp'], b64: false } : {}
  }
  const claims = {
    iss: chance.pick([issuer, 'http://evil.example', issuer + '/', null]),
    aud: chance.pick(['relay', ['relay'], '*', null]),
    sub: chance.pick(['admin', '', null]),
    exp: chance.pick([now + 3_600, now - 3_600, 'never', 1e308, null]),
    iat: now,
    scope: 'events:read events:write admin',
    relay_zones: chance.pick([undefined, null, [], '*', {}])
  }
  const body = `${part(header)}.${part(claims)}`
  const signature = chance.pick([
    () => '',
    () => createHmac('sha256', 'secret').update(body).digest('base64url'),
    () => sign(null, Buffer.from(body), ownKey.privateKey).toString('base64url'),
    () => 'A'.repeat(chance.below(400))
  ])()
  return `${body}.${signature}`
}

const ownKey = generateKeyPairSync('ed25519')
const LETTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

function madeUpKey (attacker: Attacker): string {
  const { chance } = attacker
  const letters = (count: number) => Array.from({ length: count }, () => LETTERS[chance.below(62)]).join('')
  const environment = chance.pick(['local', 'production', '', letters(5)])
  return `relay_${environment}_${letters(chance.pick([12, 16, 22, 1]))}_${letters(chance.pick([49, 43, 50, 3, 300]))}`
}

/** A key that was given, with one character changed. */
function changedKey (attacker: Attacker): string {
  const { chance, target: { token } } = attacker
  const at = chance.below(token.length)
  const other = LETTERS.replace(token[at], '')
  return token.slice(0, at) + other[chance.below(other.length)] + token.slice(at + 1)
}

/** Raw control characters in a log do to a terminal what they like. */
async function noControls (file: string): Promise<string[]> {
  const log = await readFile(file, 'utf8')
  // eslint-disable-next-line no-control-regex
  const found = log.match(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g) ?? []
  return found.length === 0 ? [] : [`${found.length} raw control characters in ${file.split('/').at(-1)}`]
}

export const tokens: readonly Attack[] = [
  {
    name: 'tokens/forged-jwt',
    who: 'stranger',
    input: 'generated JWTs: unsigned, of other keys, algorithms, issuers, times; one after the other, ' +
      '20 of each address',
    holds: '401',
    spanMs: 12_000,
    run: attacker => tryAll(attacker, attacker.generated, () => forgedJwt(attacker)),
    verify: site => noControls(join(site.dataDir, 'logs', 'api.log'))
  },
  {
    name: 'tokens/made-up-keys',
    who: 'stranger',
    input: 'generated API keys, one after the other, 20 of each address',
    holds: '401',
    spanMs: 12_000,
    run: attacker => tryAll(attacker, attacker.generated, () => madeUpKey(attacker))
  },
  {
    name: 'tokens/changed-keys',
    who: 'read key',
    input: 'a valid key with one character changed, generated, one after the other',
    holds: '401',
    spanMs: 12_000,
    run: attacker => tryAll(attacker, attacker.generated, () => changedKey(attacker))
  },
  {
    name: 'tokens/strange-headers',
    who: 'stranger',
    input: '200 Authorization headers: 15 KB, twice, other schemes, control characters; by hand',
    holds: 'refused',
    async run (attacker) {
      const long = 'x'.repeat(15_000)
      const heads = [
        `Authorization: Bearer ${long}`, `Authorization: Bearer ${'a.'.repeat(7_000)}`, 'Authorization: Bearer \x1b[2J\x1b]0;owned\x07',
        'Authorization: Bearer a\r\nAuthorization: Bearer supermetrics', 'Authorization: Basic YWRtaW46YWRtaW4=', `Authorization: ${'Bearer '.repeat(2_000)}`,
        `Authorization: bearer${' '.repeat(14_000)}x`, 'Authorization:', 'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-User: admin', 'Cookie: token=admin'
      ]
      for (let n = 0; n < 200; n++) {
        const raw = await attacker.connect(attacker.target.apiPort, attacker.freshAddress())
        raw.write(Buffer.from(`GET /api/v1/keys HTTP/1.1\r\nHost: 127.0.0.1\r\n${heads[n % heads.length]}\r\nConnection: close\r\n\r\n`, 'latin1'))
        await raw.heard(10_000)
        attacker.count(raw.status)
        attacker.expect([400, 401, 429, 431].includes(raw.status), `status ${raw.status} for a strange header`)
        raw.end()
        await attacker.pause(8)
      }
    },
    verify: site => noControls(join(site.dataDir, 'logs', 'api.log'))
  }
]
