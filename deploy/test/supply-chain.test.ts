/** What Relay is made of: the lock file, what it may run, under which licences, and who looks after it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import getPort from 'get-port'
import { parse } from 'yaml'

import { auditDependencies, judgeAudit } from '../supply-chain/audit.ts'
import { faultsOf, makeBillOfMaterials } from '../supply-chain/bill-of-materials.ts'
import { isPermissive, refusedLicences } from '../supply-chain/licences.ts'
import { readLockfile } from '../supply-chain/lockfile.ts'
import { ROOT } from './support/dockerfile.ts'

const packages = readLockfile()
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

test('no package runs a script when it is installed but those that may', () => {
  const { allowScripts } = JSON.parse(read('package.json')) as { allowScripts: Record<string, boolean> }
  const wantTo = packages.filter(it => it.hasInstallScript).map(it => it.name).sort()
  assert.deepEqual(Object.keys(allowScripts).sort(), wantTo)
})

test('each package comes from a registry, none from an address of its own, and has a checksum', () => {
  const { packages: entries } = JSON.parse(read('package-lock.json'))
  for (const [place, { link, resolved, integrity }] of Object.entries<any>(entries)) {
    if (link || !place.includes('node_modules/')) continue
    assert.match(integrity ?? '', /^sha512-/, place)
    if (resolved !== undefined) assert.match(resolved, /^https:\/\/registry\.npmjs\.org\//, place)
  }
})

test('all licences are permissive', () => {
  assert.ok(packages.length > 300)
  assert.deepEqual(refusedLicences(packages), [])
})

const expressions: Array<[string | undefined, boolean]> = [
  ['MIT', true], ['(MIT AND Zlib)', true], ['(MIT OR CC0-1.0)', true], ['MIT OR GPL-3.0-only', true],
  ['GPL-3.0-only', false],
  ['MIT AND GPL-3.0-only', false], ['AGPL-3.0-or-later', false], ['LGPL-2.1', false], ['UNLICENSED', false],
  ['', false],
  ['SEE LICENSE IN LICENSE', false], ['MIT OR Apache-2.0 AND GPL-3.0-only', false],
  ['(MIT OR ISC) AND SSPL-1.0', false], [undefined, false]
]
for (const [expression, is] of expressions) {
  test(`a package under ${JSON.stringify(expression)} is ${is ? 'taken' : 'refused'}`, () => {
    assert.equal(isPermissive(expression), is)
    const locked = { name: 'a', version: '1.0.0', license: expression, isDev: false, hasInstallScript: false }
    assert.equal(refusedLicences([locked]).length, is ? 0 : 1)
  })
}

test('a tool may be under a licence that is about its own files; what runs in production may not', () => {
  const locked = { name: 'a', version: '1.0.0', license: 'MPL-2.0', isDev: true, hasInstallScript: false }
  assert.deepEqual(refusedLicences([locked]), [])
  assert.equal(refusedLicences([{ ...locked, isDev: false }]).length, 1)
})

test('the list of materials names each package that runs in production, and says so where one is missing', () => {
  const list = makeBillOfMaterials(ROOT)
  assert.deepEqual(faultsOf(list, packages), [])
  const another = { name: '@another/package', version: '1.2.3', isDev: false, hasInstallScript: false }
  assert.deepEqual(faultsOf(list, [...packages, another]), ['@another/package@1.2.3 is not in it'])
  assert.deepEqual(faultsOf(list, [{ ...another, isDev: true }]), [])
  assert.equal(faultsOf('{}', packages).length, 1)
})

test('an audit that nobody answered is not taken for a clean one', async () => {
  const port = await getPort({ host: '127.0.0.1' })
  const audit = auditDependencies(ROOT, `http://127.0.0.1:${port}/`)
  assert.equal(audit.kind, 'not-done')
  for (const json of ['', 'null', '{}', '[]', '{"message":"405 Method Not Allowed"}', '{"auditReportVersion":2}']) {
    assert.equal(judgeAudit(json).kind, 'not-done', json)
  }
})

test('what is high or critical is refused, what is below is counted', () => {
  const found = (severity: string) => ({ [severity]: { name: severity, severity, range: '<2' } })
  const report = (vulnerabilities: object) => JSON.stringify({ auditReportVersion: 2, vulnerabilities })
  assert.deepEqual(judgeAudit(report({})), { kind: 'done', refused: [], tolerated: 0 })
  assert.deepEqual(
    judgeAudit(report({ ...found('low'), ...found('moderate'), ...found('high'), ...found('critical') })),
    { kind: 'done', refused: ['high <2: high', 'critical <2: critical'], tolerated: 2 }
  )
})

test('CI runs what anybody can run, with no more rights than that needs, by actions that nobody can change', () => {
  const workflows = readdirSync(join(ROOT, '.github/workflows'))
  assert.ok(workflows.length > 0)
  for (const file of workflows) {
    const text = read(`.github/workflows/${file}`)
    const { permissions, jobs } = parse(text)
    assert.deepEqual(permissions, { contents: 'read' })
    const steps = Object.values<any>(jobs).flatMap(it => it.steps)
    assert.ok(steps.some(it => /^\.ci\/run( lint)?$/.test(it.run) && it.env.AUDIT_REQUIRED === 'true'))
    for (const { uses } of steps) if (uses) assert.match(uses, /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/)
    assert.doesNotMatch(text, /\$\{\{ *secrets\.|pull_request_target/)
  }
  assert.match(read('.ci/run'), /npm run --silent supply-chain/)
})

test('newer versions are proposed for all that is fixed: packages, images, jars, actions', () => {
  const ecosystems = parse(read('.github/dependabot.yml')).updates.map(
    (it: Record<string, string>) => it['package-ecosystem']
  )
  assert.deepEqual(ecosystems.sort(), ['docker', 'docker-compose', 'github-actions', 'maven', 'npm', 'pip'])
})

test('no file that may hold a secret is in the repository', t => {
  const listed = spawnSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' })
  if (listed.status !== 0) return t.skip('this is no clone')
  assert.deepEqual(listed.stdout.split('\n').filter(it => /(^|\/)\.env|\.(pem|key|p12|pfx|jks|keystore)$/.test(it)), [])
})
