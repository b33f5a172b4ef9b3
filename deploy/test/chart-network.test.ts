/** What reaches which pod of the chart: Services, the Ingress, network policies, and who measures and counts them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'

import { parse } from 'yaml'

import { alerts } from '../monitoring/alerts.ts'
import { dashboards } from '../monitoring/dashboards.ts'
import { renderDashboard } from '../monitoring/grafana.ts'
import { renderRules } from '../monitoring/render.ts'
import { helm } from '../kubernetes/tools.ts'
import {
  isSelected, renderSite, sites, withTools, type KubernetesObject, type Pod, type Site
} from './support/chart.ts'
import { ROOT } from './support/dockerfile.ts'

const options = await withTools(helm)

const portsOf = ({ container }: Pod) => (container.ports ?? []).map(it => it.containerPort)
const portOf = ({ container }: Pod, port: string | number) =>
  typeof port === 'number' ? port : container.ports!.find(it => it.name === port)!.containerPort
const valueOf = ({ container }: Pod, name: string) => container.env.find(it => it.name === name)?.value
const componentsOf = (pods: readonly Pod[]) => pods.map(it => it.component).sort()
const selectedBy = ({ pods }: Site, selector: unknown) => pods.filter(it => isSelected(selector, it.labels))
const asNumbers = (ports: Iterable<number>) => [...new Set(ports)].sort((a, b) => a - b)

/** The ports that network policies let through; undefined: nothing restricts them. */
function allowed (site: Site, pod: Pod, direction: 'Ingress' | 'Egress'): number[] | undefined {
  const policies = site.ofKind('NetworkPolicy').map(it => it.spec)
    .filter(it => it.policyTypes.includes(direction) && isSelected(it.podSelector, pod.labels))
  if (policies.length === 0) return undefined
  const rules = policies.flatMap(it => it[direction.toLowerCase()] ?? [])
  return asNumbers(rules.flatMap(({ ports }: any) => {
    assert.ok(ports?.length > 0, 'a rule without ports allows all of them')
    return ports.map(({ port }: any) => portOf(pod, port))
  }))
}

/** The ports of servers that the settings of a pod name. */
function neededPorts (site: Site, pod: Pod): number[] {
  const needed = [53]
  if (pod.component === 'probe') return [53, 8080]
  needed.push(Number(valueOf(pod, 'POSTGRES_PORT')))
  if (valueOf(pod, 'DATABASE_LISTEN_URL_FILE')) {
    needed.push(Number(valueOf(site.pods.find(it => it.component === 'processor')!, 'POSTGRES_PORT')))
  }
  for (const server of valueOf(pod, 'KAFKA_BOOTSTRAP_SERVERS')?.split(',') ?? []) {
    needed.push(Number(server.split(':')[1]))
  }
  const issuer = valueOf(pod, 'OIDC_ISSUER')
  if (issuer) needed.push(Number(new URL(issuer).port || 443))
  return asNumbers(needed)
}

for (const name of sites) {
  suite(`a site with the values ${name}`, options, async () => {
    const site = await renderSite(name)

    test('every selector finds the pods of one program, and every workload those that it makes', () => {
      for (const { metadata, kind, spec } of ['Deployment', 'StatefulSet'].flatMap(site.ofKind)) {
        assert.deepEqual(componentsOf(selectedBy(site, spec.selector)), [metadata.labels['app.kubernetes.io/component']], `${kind} ${metadata.name}`)
      }
      const selecting = [
        ...site.ofKind('Service').map(it => ({ it, selector: { matchLabels: it.spec.selector } })),
        ...site.ofKind('PodDisruptionBudget').map(it => ({ it, selector: it.spec.selector }))
      ]
      for (const { it, selector } of selecting) {
        assert.deepEqual(
          componentsOf(selectedBy(site, selector)), [it.metadata.labels['app.kubernetes.io/component']],
          it.metadata.name
        )
      }
    })

    test('no two objects have one name, and all are in the namespace of the release', () => {
      const names = site.objects.map(it => `${it.kind} ${it.metadata.name}`)
      assert.deepEqual(names, [...new Set(names)])
      for (const { metadata } of site.objects) assert.equal(metadata.namespace, 'relay')
    })

    test('a Service leads to a port that its pods listen on', () => {
      for (const { metadata, spec } of site.ofKind('Service')) {
        const [pod] = selectedBy(site, { matchLabels: spec.selector })
        for (const { port, targetPort } of spec.ports) assert.ok(portOf(pod, targetPort), `${metadata.name}:${port}`)
      }
      const { serviceName } = site.pods.find(it => it.component === 'processor')!.workload.spec
      assert.ok(site.ofKind('Service').some(it => it.metadata.name === serviceName && it.spec.clusterIP === 'None'))
    })

    for (const pod of site.pods) {
      test(`${pod.component}: reaches the servers of its settings and nothing else, and is reached at its ports alone`, () => {
        assert.deepEqual(allowed(site, pod, 'Egress'), neededPorts(site, pod))
        assert.deepEqual(allowed(site, pod, 'Ingress'), asNumbers(portsOf(pod)))
      })
    }

    test('the migration has its network policy before it runs', () => {
      const [job] = site.ofKind('Job')
      const policy = site.ofKind('NetworkPolicy').find(it => it.metadata.name === job.metadata.name)!
      const { 'helm.sh/hook': hook, 'helm.sh/hook-weight': weight } = policy.metadata.annotations!
      assert.equal(hook, job.metadata.annotations!['helm.sh/hook'])
      assert.ok(Number(weight) < Number(job.metadata.annotations!['helm.sh/hook-weight']))
    })

    test('a drain of nodes takes one pod of each program at a time', () => {
      const budgets = site.ofKind('PodDisruptionBudget')
      for (const { spec } of budgets) assert.equal(spec.maxUnavailable, 1)
      const kept = budgets.flatMap(it => selectedBy(site, it.spec.selector))
      assert.deepEqual(componentsOf(kept), componentsOf(site.pods).filter(it => it !== 'migration' && it !== 'probe'))
    })

    test('an autoscaler finds its workload, which then says no number of its own', () => {
      for (const { spec } of site.ofKind('HorizontalPodAutoscaler')) {
        const { kind, name } = spec.scaleTargetRef
        const workload = site.ofKind(kind).find(it => it.metadata.name === name)!
        assert.equal(workload.spec.replicas, undefined)
        assert.ok(workload.spec.template.spec.containers[0].resources.requests.cpu, 'a share of what is requested')
      }
    })
  })
}

test('the Ingress sends events to ingest, and all else to query', options, async () => {
  const site = await renderSite('full')
  const [{ spec }] = site.ofKind('Ingress')
  const targets = spec.rules[0].http.paths.map(({ path, pathType, backend }: any) => {
    const service = site.ofKind('Service').find(it => it.metadata.name === backend.service.name)!
    assert.ok(service.spec.ports.some((it: any) => it.name === backend.service.port.name))
    return [pathType, path, service.spec.selector['app.kubernetes.io/component']]
  })
  assert.deepEqual(targets, [['Exact', '/api/v1/events', 'ingest'], ['Prefix', '/', 'query']])
})

test('MQTT is for clients outside only where its Service says so, and metrics never are', options, async () => {
  const rendered = await Promise.all(sites.map(renderSite))
  const outside = rendered.flatMap(it => it.ofKind('Service')).filter(
    it => (it.spec.type ?? 'ClusterIP') !== 'ClusterIP'
  )
  assert.deepEqual(outside.map(it => it.metadata.name), ['telemetry-mqtt'])
  assert.deepEqual(outside[0].spec.ports.map((it: any) => it.name), ['mqtt'])
})

test('policies without peers let anyone in at these ports; with peers only those, and the probe', options, async () => {
  const [open, site] = await Promise.all([renderSite('operators'), renderSite('full')])
  const rulesOfQuery = ({ ofKind }: Site): any[] => ofKind('NetworkPolicy')
    .find(it => it.metadata.name.endsWith('-query'))!.spec.ingress
  assert.ok(rulesOfQuery(open).every(it => it.from === undefined))
  const [metrics, clients, probe] = rulesOfQuery(site)
  assert.equal(metrics.from[0].namespaceSelector.matchLabels['kubernetes.io/metadata.name'], 'monitoring')
  assert.equal(clients.from[0].namespaceSelector.matchLabels['kubernetes.io/metadata.name'], 'ingress')
  assert.deepEqual(componentsOf(selectedBy(site, probe.from[0].podSelector)), ['probe'])
})

suite('monitoring', options, async () => {
  const site = await renderSite('full')
  const servicesOf = ({ spec }: KubernetesObject) => site.ofKind('Service').filter(it =>
    isSelected(spec.selector, it.metadata.labels) && it.spec.ports.some(
      (port: any) => port.name === spec.endpoints[0].port
    ))

  test('every program is measured, under the name that alarms know', () => {
    const jobs = site.ofKind('ServiceMonitor').map(it => [
      it.spec.endpoints[0].relabelings.find((rule: any) => rule.targetLabel === 'job').replacement,
      servicesOf(it).map(service => service.spec.selector['app.kubernetes.io/component']).sort()
    ])
    assert.deepEqual(
      Object.fromEntries(jobs),
      { 'relay-api': ['ingest', 'query'], 'relay-processor': ['processor'], 'relay-probe': ['probe'] }
    )
    const runbook = readFileSync(join(ROOT, 'docs/runbook.md'), 'utf8')
    const [, named] = runbook.match(/^Jobs of Prometheus are named after programs: (.*)/m)!
    for (const [job] of jobs) assert.ok(named.includes(`\`${job}\``), job)
  })

  test('alarms and dashboards are those of deploy/monitoring', () => {
    const [rule] = site.ofKind('PrometheusRule')
    assert.deepEqual(rule.spec, parse(renderRules()))
    assert.ok(alerts.every(alert => JSON.stringify(rule.spec).includes(`"alert":"${alert.name}"`)))
    const shown = site.ofKind('ConfigMap').flatMap(it => Object.values(it.data!))
    assert.deepEqual(shown.map(it => it.trim()).sort(), dashboards.map(it => renderDashboard(it).trim()).sort())
  })

  test('none of it is there unless asked for: a cluster may not know its kinds', async () => {
    const kinds = new Set((await renderSite('operators')).objects.map(it => it.kind))
    for (const kind of ['ServiceMonitor', 'PrometheusRule', 'ConfigMap']) assert.ok(!kinds.has(kind), kind)
  })
})
