/** The Helm chart: its files are up to date, Helm and Kubernetes take it, and it refuses values that are wrong. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'

import { stringify } from 'yaml'

import { WRITE_COMMAND, writtenFiles } from '../kubernetes/main.ts'
import { helm, kubernetesValidate } from '../kubernetes/tools.ts'
import {
  CHART, kubernetesVersions, NAMESPACE, readValues, render, renderSite, runHelm, sites, validate, values, withTools,
  type KubernetesObject
} from './support/chart.ts'
import { rootManifest } from './support/programs.ts'

// all that is awaited before the first test: the runner may end a file whose tests so far are done
const [withHelm, withBoth] = await Promise.all([withTools(helm), withTools(helm, kubernetesValidate)])

test('files that are made of other sources say what those say', async () => {
  for (const [path, text] of writtenFiles()) {
    assert.ok(await readFile(join(CHART, path), 'utf8').catch(() => '') === text,
      `deploy/chart/${path} is out of date; write it with: ${WRITE_COMMAND}`)
  }
})

test('the chart has the version of Relay, and needs no other chart', async () => {
  const { version, appVersion, dependencies } = readValues(join(CHART, 'Chart.yaml'))
  assert.deepEqual(
    { version, appVersion, dependencies },
    { version: rootManifest.version, appVersion: rootManifest.version, dependencies: undefined }
  )
})

for (const name of sites) {
  test(`helm lint has nothing to say about a site with the values ${name}`, withHelm, async () => {
    assert.match(await runHelm('lint', CHART, '--strict', '--quiet', '--namespace', NAMESPACE, ...values(name)), /^$|0 chart\(s\) failed/)
  })
}

test('every version of Kubernetes from 1.31 on takes what is rendered', withBoth, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-chart-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'objects.yaml')
  const ofKubernetes = (await Promise.all(sites.map(renderSite))).flatMap(it => it.objects)
    .filter(it => !it.apiVersion.startsWith('monitoring.coreos.com/'))
    // dashboards take Python long to read
    .map(it => it.kind === 'ConfigMap' ? { ...it, data: { 'a.json': '{}' } } : it)
  assert.ok(ofKubernetes.length > 40)
  await writeFile(file, ofKubernetes.map(it => stringify(it)).join('---\n'))
  const versions = await kubernetesVersions(31)
  assert.ok(versions.length >= 5, `${versions}`)
  await validate(file, ...versions)

  const wrong = structuredClone(ofKubernetes.find(it => it.kind === 'Deployment')!)
  wrong.spec.template.spec.containers[0].redinessProbe = {}
  await writeFile(file, stringify(wrong))
  for (const version of versions) await assert.rejects(validate(file, version), /redinessProbe/)
})

suite('a value that is wrong is refused, and named', withHelm, () => {
  const cases: ReadonlyArray<{ readonly set: string, readonly says: RegExp }> = [
    { set: 'replicas=3', says: /additional properties 'replicas' not allowed/ },
    { set: 'query.replica=3', says: /\/query'?: additional properties 'replica' not allowed/ },
    { set: 'database.tls.enable=false', says: /\/database\/tls'?: additional properties 'enable' not allowed/ },
    { set: 'settings.RETENTION_DAYS=30', says: /\/settings'?: additional properties 'RETENTION_DAYS' not allowed/ },
    { set: 'query.settings.PROCESSOR_THREADS=2', says: /\/query\/settings'?: additional properties 'PROCESSOR_THREADS' not allowed/ },
    { set: 'settings.POSTGRES_HOST=db', says: /\/settings'?: additional properties 'POSTGRES_HOST' not allowed/ },
    { set: 'processor.settings.PROCESSOR_THREADS=100', says: /PROCESSOR_THREADS'?: maximum: got 100, want 64/ },
    { set: 'processor.settings.GAP_POLICY=skip', says: /GAP_POLICY'?: value must be one of 'stop', 'continue'/ },
    { set: 'query.replicas=two', says: /\/query\/replicas'?: got string, want null or integer/ },
    { set: 'eventLog=kinesis', says: /\/eventLog'?: value must be one of 'kafka', 'postgres'/ },
    { set: 'kafka.bootstrapServers=kafka', says: /\/kafka\/bootstrapServers'?: 'kafka' does not match pattern/ },
    { set: 'images.api.digest=latest', says: /\/images\/api\/digest'?: 'latest' does not match pattern/ },
    { set: 'database.host=', says: /database\.host is not set: the host of PostgreSQL/ },
    { set: 'database.api.existingSecret=', says: /database\.api\.existingSecret is not set/ },
    { set: 'database.owner.existingSecret=', says: /database\.owner\.existingSecret is not set/ },
    { set: 'database.processor.user=me', says: /database\.processor\.user must be relay_processor_login.*createLogins/ },
    { set: 'eventLog=kafka', says: /kafka\.bootstrapServers is not set.*set eventLog to postgres/ },
    { set: 'processor.canary.enabled=true,processor.canary.generation=blue', says: /must differ from processor\.generation/ },
    { set: 'processor.settings.PROCESSOR_GENERATION=red', says: /additional properties 'PROCESSOR_GENERATION' not allowed/ },
    { set: 'ingress.enabled=true', says: /ingress\.host is not set/ },
    { set: 'probe.enabled=true', says: /probe\.token\.existingSecret is not set/ }
  ]
  for (const { set, says } of cases) {
    test(set, async () => {
      await assert.rejects(render('relay', ...values('minimal'), '--set', set), ({ message }: Error) => {
        assert.match(message, says)
        return true
      })
    })
  }

  test('but not the values of the same chart within another one', async () => {
    assert.ok((await render('relay', ...values('minimal'), '--set', 'global.region=eu')).length > 5)
  })
})

test('a canary runs another image and generation, beside processors that stay as they are', withHelm, async () => {
  const setsOf = (objects: readonly KubernetesObject[]) => new Map(objects.filter(it => it.kind === 'StatefulSet')
    .map(it => [it.metadata.name, it.spec]))
  const without = setsOf(await render('relay', ...values('minimal')))
  const canary = setsOf(await render('relay', ...values('minimal'),
    '--set', 'processor.canary.enabled=true,processor.canary.image.tag=9.9.9'))
  assert.deepEqual(canary.get('relay-processor'), without.get('relay-processor'))
  const { replicas, selector, template } = canary.get('relay-processor-canary')!
  assert.equal(replicas, 1)
  assert.equal(selector.matchLabels['app.kubernetes.io/component'], 'processor-canary')
  const [container] = template.spec.containers
  assert.match(container.image, /:9\.9\.9$/)
  const told = new Map(container.env.map(({ name, value }: { name: string, value: string }) => [name, value]))
  assert.equal(told.get('PROCESSOR_GENERATION'), 'green')
})

test('all values are in values.yaml, with their defaults', () => {
  const schema = JSON.parse(writtenFiles().get('values.schema.json')!)
  const namesOf = ({ properties = {} }: any, path = ''): string[] => Object.entries<any>(properties)
    .flatMap(([name, it]) =>
      it.properties && name !== 'settings' ? namesOf(it, `${path}${name}.`) : [`${path}${name}`])
  const presets = readValues(join(CHART, 'values.yaml'))
  const isThere = (path: string) => path.split('.').reduce<any>((it, name) => it?.[name], presets) !== undefined
  const names = namesOf(schema)
  assert.ok(names.length > 80)
  assert.deepEqual(names.filter(it => it !== 'global' && !isThere(it)), [])
})

test('names of releases that are long, or say relay, make names that Kubernetes takes', withHelm, async () => {
  const namesOf = async (release: string) => (await render(release, ...values('minimal'))).map(it => it.metadata.name)
  assert.ok((await namesOf('relay')).includes('relay-query'))
  assert.ok((await namesOf('telemetry')).includes('telemetry-relay-query'))
  const long = await namesOf('a-release-whose-name-is-just-as-long-as-helm-allows')
  assert.deepEqual(long.filter(it => it.length > 63 || it.includes('--')), [])
})
