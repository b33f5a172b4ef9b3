import assert from 'node:assert/strict'
import { test } from 'node:test'

import { parseApiKey } from 'relay-access'
import { openSite } from '../../relay-processor/test/support/open-processor.ts'
import { documents, runCli } from './support/run-cli.ts'

test('a key is created, listed without its secret, rotated and revoked, with entries in the audit log', async t => {
  const site = (await openSite(t, 'postgres'))!
  const created = await runCli(site, [
    'keys', 'create', '--name', 'dashboard', '--scope', 'events:read', '--zone', 'Zone A', '--expires', '1d', '--json'
  ])
  assert.equal(created.code, 0, created.stderr)
  const [{ key, keyId, expiresAt }] = documents(created)
  assert.equal(parseApiKey(key)?.id, keyId)
  assert.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 86_400_000) < 600_000)

  const listed = await runCli(site, ['keys', 'list', '--json'])
  assert.deepEqual(documents(listed)[0].map((it: any) => [it.keyId, it.name, it.scopes, it.zones, it.devicePrefixes]),
    [[keyId, 'dashboard', ['events:read'], ['Zone A'], null]])
  assert.ok(!listed.stdout.includes(key))

  const rotated = (await runCli(site, ['keys', 'rotate', keyId])).stdout.trim()
  assert.equal(parseApiKey(rotated)?.id, keyId)
  assert.notEqual(rotated, key)
  assert.equal((await runCli(site, ['keys', 'revoke', keyId])).code, 0)
  assert.match((await runCli(site, ['keys', 'list'])).stdout, /revoked/)
  assert.equal((await runCli(site, ['keys', 'revoke', 'nobody'])).code, 2)
  assert.equal((await runCli(site, ['keys', 'create', '--name', 'x', '--scope', 'everything'])).code, 64)
  for (const wrong of [
    ['--device-prefix', ''], ['--zone', ''], ['--name', ' '], ['--name', 'a\u001b[2J'], ['--expires', '99999999999d']
  ]) {
    const refused = await runCli(site, ['keys', 'create', '--name', 'x', '--scope', 'events:read', ...wrong])
    assert.deepEqual([refused.code, refused.stdout], [2, ''], `${JSON.stringify(wrong)}: ${refused.stderr}`)
  }
  assert.equal(
    (await runCli(site, ['keys', 'create', '--name', 'x', '--scope', 'events:read', '--zones', 'Zone A'])).code, 64
  )
  const acts =
    await site.database.query<{ act: string, target: string }>('select act, target from audit_log order by audit_id')
  assert.deepEqual(acts.map(it => it.act), ['api-key.create', 'api-key.rotate', 'api-key.revoke'])
  assert.ok(acts.every(it => it.target === keyId))
})
