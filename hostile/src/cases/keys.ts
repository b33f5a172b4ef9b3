/** An administrator mistypes: a restriction that is not understood must not make a key without it. */
import { OWN_ZONE, type Attack } from '../attack.ts'
import type { Attacker } from '../attacker.ts'

const good = { name: 'typed', scopes: ['events:read'], zones: [OWN_ZONE] }

/** Makes a key; what was made is ended again. @returns the status */
async function make (attacker: Attacker, body: unknown): Promise<{ status: number, key: Record<string, unknown> }> {
  const { target: { adminToken: token } } = attacker
  const answer = await attacker.ask({
    method: 'POST',
    path: '/api/v1/keys',
    token,
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json' }
  })
  const key = answer.status === 201 ? JSON.parse(answer.body.toString()) as Record<string, unknown> : {}
  if (answer.status === 201) await attacker.ask({ method: 'DELETE', path: `/api/v1/keys/${key.id as string}`, token })
  return { status: answer.status, key }
}

function typo (name: string, input: string, bodies: readonly unknown[]): Attack {
  return {
    name: `keys/${name}`,
    who: 'admin',
    input: `POST /keys with ${input}`,
    holds: '400',
    async run (attacker) {
      for (const body of bodies) {
        const { status } = await make(attacker, body)
        attacker.expect(status === 400, `status ${status} for ${JSON.stringify(body).slice(0, 120)}`)
      }
    }
  }
}

const base = { name: 'typed', scopes: ['events:read'] }

export const keys: readonly Attack[] = [
  typo(
    'misspelled-zones', 'zone, Zones, zonez and others for zones',
    ['zone', 'Zones', 'ZONES', 'zonez', ' zones', 'zones ', 'relay_zones', 'zoneIds', 'grants'].map(
      name => ({ ...base, [name]: [OWN_ZONE] })
    )
  ),
  typo(
    'misspelled-prefixes', 'device_prefixes and others for devicePrefixes',
    [
      'device_prefixes', 'deviceprefixes', 'devicePrefix', 'DevicePrefixes', 'devices', 'prefixes',
      'relay_device_prefixes'
    ].map(name => ({ ...base, [name]: ['a'] }))
  ),
  typo(
    'misspelled-expiry', 'expires_at and others for expiresAt',
    ['expires_at', 'expiresat', 'expires', 'expiry', 'ExpiresAt', 'expiresIn', 'ttl', 'notAfter'].map(
      name => ({ ...base, [name]: '2030-01-01T00:00:00Z' })
    )
  ),
  typo(
    'misspelled-scopes', 'scope for scopes, or unknown ones',
    [
      { name: 'a', scope: ['events:read'] }, { name: 'a', scopes: ['events.read'] }, { name: 'a', scopes: ['*'] },
      { name: 'a', scopes: [] }, { ...base, scope: 'events:read' }
    ]
  ),
  typo('wrong-types', 'a text for a list, numbers for texts, null', [
    { ...base, zones: OWN_ZONE }, { ...base, zones: null }, { ...base, zones: [null] }, { ...base, zones: [1] },
    { ...base, zones: {} }, { ...base, zones: '' },
    { ...base, devicePrefixes: 'a' }, { ...base, devicePrefixes: [true] }, { ...base, devicePrefixes: null },
    { ...base, devicePrefixes: 0 },
    { ...base, scopes: 'events:read' }, { ...base, scopes: null }, { ...base, name: 7 }, { ...base, name: null },
    { ...base, name: true },
    { ...base, expiresAt: 0 }, { ...base, expiresAt: null }, { ...base, expiresAt: false }, { ...base, expiresAt: '' }
  ]),
  typo(
    'empty-restrictions', 'lists of blank or no names',
    [
      { ...base, zones: [''] }, { ...base, devicePrefixes: [''] }, { ...base, zones: ['a\u0000'] },
      { ...base, zones: ['x'.repeat(200)] }
    ]
  ),
  typo(
    'past-or-no-times', 'an expiry that is past or no time',
    ['2020-01-01T00:00:00Z', 'tomorrow', '2030-13-01T00:00:00Z', '2030-01-01', '30d', '99999999999999'].map(
      expiresAt => ({ ...base, expiresAt })
    )
  ),
  typo(
    'no-objects', 'a body that is no object', ['[]', 'null', '"a"', '1', '', '{', '[{"name":"a","scopes":["admin"]}]']
  ),
  typo('two-of-a-name', 'one member twice, __proto__ and constructor', [
    ...['zones', 'devicePrefixes', 'scopes'].map(name => `{"name":"a","scopes":["events:read"],"${name}":["a"],"${name}":["events:read"]}`),
    '{"name":"a","scopes":["events:read"],"zones":["a"],"z\\u006fnes":["b"]}',
    '{"name":"a","scopes":["admin"],"scopes":["events:read"],"zones":["a"]}',
    '{"name":"a","scopes":["events:read"],"__proto__":{"zones":["x"]}}',
    '{"name":"a","scopes":["events:read"],"constructor":{"prototype":{}}}'
  ]),
  {
    name: 'keys/rotate-bodies',
    who: 'admin',
    input: 'POST /keys/<id>/rotate without a body, with an empty one, and with misspelled members',
    holds: '200 without a body; 400 with one that is wrong',
    async run (attacker) {
      const { target: { adminToken: token } } = attacker
      const json = { 'content-type': 'application/json' }
      const made = await attacker.ask({
        method: 'POST', path: '/api/v1/keys', token, body: JSON.stringify(good), headers: json
      })
      const { id } = JSON.parse(made.body.toString()) as { id: string }
      const rotate = async (body: string | undefined, headers: Record<string, string>) => (await attacker.ask({ method: 'POST', path: `/api/v1/keys/${id}/rotate`, token, body, headers })).status
      attacker.expect(await rotate(undefined, {}) === 200, 'a rotation without a body is refused')
      attacker.expect(await rotate('', {}) === 200, 'a rotation with a body of no bytes is refused')
      attacker.expect(await rotate('{}', json) === 200, 'a rotation with {} is refused')
      for (const body of [
        '{"overlap_seconds":0}', '{"overlapSeconds":"0"}', '{"overlapSeconds":null}', '{"overlapSeconds":-1}',
        '{"overlapSeconds":1.5}', '{"overlapSecs":0}', '[]', '{"overlapSeconds":true}'
      ]) {
        const status = await rotate(body, json)
        attacker.expect(status === 400, `status ${status} for a rotation with ${body}`)
      }
      await attacker.ask({ method: 'DELETE', path: `/api/v1/keys/${id}`, token })
    }
  },
  {
    name: 'keys/generated',
    who: 'admin',
    input: 'generated bodies of POST /keys: a good one with a member misspelled, doubled, of another type; ' +
      '150 a second',
    holds: 'each key that is made is restricted as the body says',
    spanMs: 14_000,
    async run (attacker) {
      const { chance } = attacker
      const values = [null, 1, true, '', 'x', [], {}, ['x'], [1], [null], 'Large', ['Large', 7]]
      for (let n = 0; n < attacker.generated; n++) {
        const body: Record<string, unknown> = {
          name: 'typed',
          scopes: ['events:read'],
          zones: [OWN_ZONE],
          devicePrefixes: ['large-'],
          expiresAt: '2035-01-01T00:00:00Z'
        }
        const name = chance.pick(['zones', 'devicePrefixes', 'expiresAt'])
        const value = body[name]
        delete body[name]
        const renamed = chance.happens(0.6) ? misspell(attacker, name) : name
        body[renamed] = renamed === name ? chance.pick(values) : value
        const { status, key } = await make(attacker, body)
        if (status === 400 || status === 429) continue
        attacker.expect(status === 201, `status ${status} for a generated key`)
        const isSame = renamed === name && JSON.stringify(key[name]) === JSON.stringify(body[name])
        const isTime = renamed === name && name === 'expiresAt'
        attacker.expect(isSame || isTime, `a key with ${JSON.stringify({ [renamed]: body[renamed] })} has ${name} ${JSON.stringify(key[name])}`)
      }
    }
  },
  {
    name: 'keys/not-an-admin',
    who: 'write key',
    input: 'POST, GET and DELETE /keys with a write key and a read key',
    holds: '403',
    async run (attacker) {
      for (const [method, path] of [
        ['GET', '/api/v1/keys'], ['POST', '/api/v1/keys'], ['DELETE', '/api/v1/keys/abc'],
        ['POST', '/api/v1/keys/abc/rotate']
      ]) {
        const { status } = await attacker.ask({
          method,
          path,
          ...method === 'POST' ? { body: JSON.stringify(base), headers: { 'content-type': 'application/json' } } : {}
        })
        attacker.expect(status === 403, `status ${status} for ${method} ${path}`)
      }
    }
  }
]

function misspell ({ chance }: Attacker, name: string): string {
  const at = chance.below(name.length)
  const made = chance.pick([
    () => name.slice(0, at) + name.slice(at + 1),
    () => name.slice(0, at) + name[at] + name.slice(at),
    () => name.toLowerCase(),
    () => name.toUpperCase(),
    () => name.replace(/[A-Z]/, it => `_${it.toLowerCase()}`),
    () => name + chance.pick([' ', 's', '_', '\u200b', '[]']),
    () => chance.pick([' ', '_', '$', '\ufeff']) + name
  ])()
  return made === name ? `${name}_` : made
}
