/** The chart as Helm renders it: objects of Kubernetes, as far as tests look at them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { parse, parseAllDocuments } from 'yaml'

import { run } from 'relay-test-support/install-once.ts'
import { helm, kubernetesValidate, type Tool } from '../../kubernetes/tools.ts'
import { ROOT } from './dockerfile.ts'

export const CHART = join(ROOT, 'deploy/chart')
export const NAMESPACE = 'relay'

type Labels = Readonly<Record<string, string>>

export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string, readonly namespace: string, readonly labels: Labels, readonly annotations?: Labels
  }
  readonly spec: any
  readonly data?: Readonly<Record<string, string>>
}

export interface Variable {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: any
}

export interface Container {
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly env: readonly Variable[]
  readonly ports?: ReadonlyArray<{ readonly name: string, readonly containerPort: number }>
  readonly securityContext: any
  readonly resources: any
  readonly volumeMounts: ReadonlyArray<{
    readonly name: string, readonly mountPath: string, readonly readOnly?: boolean
  }>
  readonly livenessProbe?: any
  readonly startupProbe?: any
  readonly readinessProbe?: any
}

/** A pod, as a workload makes it. */
export interface Pod {
  /** query, ingest, processor, migration or probe */
  readonly component: string
  readonly workload: KubernetesObject
  readonly labels: Labels
  readonly spec: any
  /** each has one */
  readonly container: Container
}

export interface Site {
  readonly name: string
  readonly objects: readonly KubernetesObject[]
  readonly pods: readonly Pod[]
  ofKind (kind: string): KubernetesObject[]
}

/** Options of a test that needs these tools. In CI what is missing is a failure. */
export async function withTools (...tools: Tool[]): Promise<{ skip: false | string, timeout: number }> {
  const missing = process.env.CI
    ? []
    : (await Promise.all(tools.map(it => it.findMissing()))).filter(it =>
        it !== undefined)
  return { skip: missing.length > 0 && `there is no ${missing.join(' and no ')} here`, timeout: 1_200_000 }
}

/** Runs Helm, in the root of the project. @throws Error with what it says */
export async function runHelm (...args: string[]): Promise<string> {
  return await run(await helm.install(), args)
}

/** Renders the chart for a release of this name. @param args such as `--values` */
export async function render (release: string, ...args: string[]): Promise<KubernetesObject[]> {
  const text = await runHelm('template', release, CHART, '--namespace', NAMESPACE, '--kube-version', '1.37', ...args)
  return parseAllDocuments(text).map(it => it.toJS()).filter(it => it !== null)
}

/** The examples that are values of the chart. */
export const sites = ['minimal', 'operators', 'external', 'full'] as const

const exampleFile = (name: string) => join(CHART, `examples/${name}.yaml`)

export const values = (name: string) => ['--values', exampleFile(`values-${name}`)]

/** The objects of an example that is applied besides the chart. */
export function readExample (name: string): KubernetesObject[] {
  return parseAllDocuments(readFileSync(exampleFile(name), 'utf8')).map(it => it.toJS())
}

export const readValues = (file: string) => parse(readFileSync(file, 'utf8')) as Record<string, any>

/** Renders the chart with the values of an example. */
export async function renderSite (name: string): Promise<Site> {
  const objects = await render('relay', ...values(name))
  const ofKind = (kind: string) => objects.filter(it => it.kind === kind)
  const pods = ['Deployment', 'StatefulSet', 'Job'].flatMap(ofKind).map((workload): Pod => {
    const { metadata, spec } = workload.spec.template
    return {
      component: metadata.labels['app.kubernetes.io/component'],
      workload,
      labels: metadata.labels,
      spec,
      container: spec.containers[0]
    }
  })
  return { name, objects, pods, ofKind }
}

/** Whether labels are those that a selector asks for. */
export function isSelected ({ matchLabels = {}, matchExpressions = [] }: any, labels: Labels): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values }: any) => {
      if (operator !== 'In') throw new Error(`no test knows the operator ${operator}`)
      return values.includes(labels[key])
    })
}

/** The versions of Kubernetes that kubernetes-validate knows, from this minor version on. */
export async function kubernetesVersions (fromMinor: number): Promise<string[]> {
  const tools = await kubernetesValidate.install()
  const list = 'from kubernetes_validate import utils; print(" ".join(utils.all_versions()))'
  const minors = (await run('python3', ['-c', list], { PYTHONPATH: tools })).split(' ').map(
    it => Number(it.split('.')[1])
  )
  return [...new Set(minors)].filter(it => it >= fromMinor).map(it => `1.${it}`)
}

/** Holds a file of objects to the schemas of these versions of Kubernetes. @throws Error with what is wrong */
export async function validate (file: string, ...versions: string[]): Promise<void> {
  const tools = await kubernetesValidate.install()
  const asked = versions.flatMap(it => ['--kubernetes-version', it])
  await run('python3', ['-m', 'kubernetes_validate', '--strict', ...asked, file], { PYTHONPATH: tools })
}
