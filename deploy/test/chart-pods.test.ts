/** The pods of the chart: what they may do, what they are told, and how they start and end. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'

import { databaseUserOf } from 'relay-access'

import { openTestApi } from '../../relay-api/test/support/ask.ts'
import { cliSettings, readCliConfig } from '../../relay-cli/src/config.ts'
import { helm } from '../kubernetes/tools.ts'
import { renderSite, sites, withTools, type Pod, type Site } from './support/chart.ts'
import { environmentOf as environmentOfImage, lastOf, ROOT } from './support/dockerfile.ts'
import { programs, type Program } from './support/programs.ts'

const options = await withTools(helm)
const documented = readFileSync(join(ROOT, 'docs/configuration.md'), 'utf8')
const relayCli: Program = { settings: cliSettings, readConfig: readCliConfig }

/** The program of a pod, and the target of its image. The probe has no settings. */
const programOf: Readonly<Record<string, { readonly target: string, readonly program?: Program }>> = {
  query: { target: 'api', program: programs.api },
  ingest: { target: 'api', program: programs.api },
  processor: { target: 'processor', program: programs.processor },
  migration: { target: 'processor', program: relayCli },
  probe: { target: 'processor' }
}

/** A setting, or that setting in a file. */
const settingOf = ({ settings }: Program, name: string) =>
  name in settings.properties ? name : name.replace(/_FILE$/, '')

/** What the program reads; in place of a Secret a text. */
function settingsOf ({ component, container }: Pod): Record<string, string> {
  const { target, program } = programOf[component]
  const told = container.env.map(({ name, value, valueFrom }): [string, string] => {
    if (valueFrom) return [name, 'relay-processor-0']
    const setting = settingOf(program!, name)
    return [setting, setting === name ? value! : 'a text of a Secret']
  })
  return { ...environmentOfImage(target), ...Object.fromEntries(told) }
}

const configOf = (pod: Pod) => programOf[pod.component].program!.readConfig(settingsOf(pod)) as Record<string, any>
const podOf = ({ pods }: Site, component: string) => pods.find(it => it.component === component)

/** Paths in the container of all that Secrets bring. */
function secretFilesOf ({ spec }: Pod): Map<string, string> {
  const sources = spec.volumes.find((it: any) => it.name === 'secrets')?.projected.sources ?? []
  return new Map(sources.flatMap(({ secret }: any) => secret.items.map((it: any) => [`/secrets/${it.path}`, secret.name])))
}

for (const name of sites) {
  suite(`a site with the values ${name}`, options, async () => {
    const site = await renderSite(name)

    for (const pod of site.pods) {
      const { component, spec, container } = pod
      const { target, program } = programOf[component]

      test(`${component}: has no rights that it does not need, as the profile "restricted" asks`, () => {
        const { runAsUser, runAsGroup, runAsNonRoot, seccompProfile } = spec.securityContext
        assert.deepEqual([`${runAsUser}:${runAsGroup}`], lastOf(target, 'USER'))
        assert.equal(runAsNonRoot, true)
        assert.deepEqual(seccompProfile, { type: 'RuntimeDefault' })
        assert.equal(spec.containers.length, 1)
        assert.equal(spec.initContainers, undefined)
        assert.deepEqual(container.securityContext,
          { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } })
        for (const setting of ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace']) {
          assert.equal(spec[setting], undefined)
        }
        const kinds = spec.volumes.flatMap((it: any) => Object.keys(it)).filter((it: string) => it !== 'name')
        assert.deepEqual(kinds.filter((it: string) => it !== 'emptyDir' && it !== 'projected'), [])
        assert.equal(spec.automountServiceAccountToken, false)
        assert.equal(spec.enableServiceLinks, false, 'a Service called postgres would set POSTGRES_PORT')
        assert.ok(
          container.resources.limits.memory && container.resources.requests.cpu && container.resources.requests.memory
        )
      })

      test(`${component}: runs a program of its image`, () => {
        assert.match(container.image, new RegExp(`(^|/)relay-${target}[:@]`))
        if (target !== component && component !== 'query' && component !== 'ingest') {
          assert.deepEqual(container.command, ['node', 'relay-cli/src/main.ts'])
        } else {
          assert.equal(container.command, undefined, 'the image says it')
        }
      })

      test(`${component}: no variable has a secret, and each file of one is there`, () => {
        const files = secretFilesOf(pod)
        const named = container.env.map(it => it.value ?? '').concat(container.args ?? []).flatMap(it => it.match(/\/secrets\/\S+/) ?? [])
        assert.deepEqual(named.sort(), [...files.keys()].sort(), 'files that settings name, and no other')
        for (const { name, value } of container.env) {
          if (/PASSWORD|TOKEN|_URL(_FILE)?$/.test(name) && name !== 'RELAY_URL' && value !== undefined) assert.match(value, /^\/secrets\//, name)
        }
        if (files.size > 0) assert.ok(container.volumeMounts.some(it => it.mountPath === '/secrets' && it.readOnly))
      })

      if (!program) continue

      test(`${component}: every variable is a setting that is documented, once, and the program takes all values`, () => {
        const names = container.env.map(it => it.name)
        assert.deepEqual(names, [...new Set(names)])
        for (const name of names) {
          const setting = settingOf(program, name)
          assert.ok(setting in program.settings.properties, `${name} is no setting of ${component}`)
          assert.ok(documented.includes(`| \`${setting}\` |`), `${setting} is not documented`)
        }
        configOf(pod)
      })
    }

    test('each program logs in as itself; the password of the owner is for the migration alone', () => {
      const secretOf = (component: string) => secretFilesOf(podOf(site, component)!).get('/secrets/database/password')
      const owner = secretOf('migration')
      for (const pod of site.pods.filter(it => it.component !== 'migration')) {
        assert.ok(![...secretFilesOf(pod).values()].includes(owner!), `${pod.component} has the password of the owner`)
      }
      for (const [component, login] of [['query', 'api'], ['ingest', 'api'], ['processor', 'processor']] as const) {
        const pod = podOf(site, component)
        if (pod) assert.equal(configOf(pod).POSTGRES_USER, databaseUserOf(login))
      }
      const { container } = podOf(site, 'migration')!
      if (site.name === 'operators') return assert.deepEqual(container.args, ['migrate'])
      for (const login of ['api', 'processor'] as const) {
        assert.ok(container.args!.includes(`--login=${login}=/secrets/logins/${login}`))
        const component = login === 'api' ? 'query' : login
        assert.equal(secretFilesOf(podOf(site, 'migration')!).get(`/secrets/logins/${login}`), secretOf(component))
      }
    })

    test('a processor has a name that its successor has too', () => {
      const { workload, container } = podOf(site, 'processor')!
      assert.equal(workload.kind, 'StatefulSet')
      const { valueFrom } = container.env.find(it => it.name === 'CONSUMER_INSTANCE_ID')!
      assert.deepEqual(valueFrom, { fieldRef: { fieldPath: 'metadata.name' } })
    })

    test('each gets time to end, and drains for longer than it takes to notice that', () => {
      for (const pod of site.pods.filter(it => it.component !== 'migration' && it.component !== 'probe')) {
        const { SHUTDOWN_DRAIN_MS = 0, SHUTDOWN_TIMEOUT_MS } = configOf(pod)
        assert.ok(pod.spec.terminationGracePeriodSeconds * 1_000 >= SHUTDOWN_DRAIN_MS + SHUTDOWN_TIMEOUT_MS + 5_000)
        if (pod.component === 'processor') continue
        const { periodSeconds, failureThreshold } = pod.container.readinessProbe
        assert.ok(SHUTDOWN_DRAIN_MS > periodSeconds * failureThreshold * 1_000)
      }
    })

    test('the migration is done before programs of its version start, and not undone by a rollback', () => {
      const { workload, spec } = podOf(site, 'migration')!
      assert.equal(workload.metadata.annotations!['helm.sh/hook'], 'pre-install,pre-upgrade')
      assert.equal(spec.restartPolicy, 'Never')
      assert.equal(spec.serviceAccountName, 'default', 'that of the chart is not there yet')
    })

    test('pods are spread over zones and nodes', () => {
      for (const { component, spec, labels } of site.pods.filter(
        it => it.component !== 'migration' && it.component !== 'probe'
      )) {
        const keys = spec.topologySpreadConstraints.map((it: any) => it.topologyKey)
        assert.deepEqual(keys.sort(), ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'], component)
        for (const { labelSelector } of spec.topologySpreadConstraints) {
          for (const [key, value] of Object.entries(labelSelector.matchLabels)) assert.equal(labels[key], value)
        }
      }
    })
  })
}

test('a readiness probe asks for what the requests of its pod need, and an API knows the question', options, async t => {
  const { app } = await openTestApi(t)
  const ask = async (url: string) => (await app.inject({ url })).statusCode
  const rendered = await Promise.all(sites.map(renderSite))
  const paths = rendered.map(site => Object.fromEntries(['query', 'ingest'].map(it =>
    [it, podOf(site, it)?.container.readinessProbe.httpGet.path])))
  assert.deepEqual(paths, [
    { query: '/readyz?for=any', ingest: undefined },
    ...Array(3).fill({ query: '/readyz?for=query', ingest: '/readyz?for=ingest' })
  ])
  for (const path of ['/livez', '/readyz?for=any', '/readyz?for=query']) assert.equal(await ask(path), 200)
  assert.equal(await ask('/readyz?for=ingest'), 503, 'it has no event log')
  assert.equal(await ask('/readyz?for=events'), 400)
})

test('large numbers reach programs as they are', options, async () => {
  const { container } = podOf(await renderSite('full'), 'query')!
  assert.equal(container.env.find(it => it.name === 'STREAM_BUFFERS_MAX_BYTES')!.value, '268435456')
})
