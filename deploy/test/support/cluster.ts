/** compose.cluster.yaml over compose.yaml as data, merged as `docker compose` does for what these files use. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { parse } from 'yaml'

import { readCompose, type Service } from './compose.ts'
import { ROOT } from './dockerfile.ts'

export interface ClusterService extends Service {
  readonly scale?: number
  readonly networks?: { readonly default: { readonly aliases: readonly string[] } }
}

interface Written extends Partial<ClusterService> {
  readonly extends?: { readonly file: string, readonly service: string }
}

export interface Cluster {
  readonly services: Readonly<Record<string, ClusterService>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const tags = [
  { tag: '!reset', collection: 'seq' }, { tag: '!override', collection: 'seq' }, { tag: '!reset', resolve: () => null }
] as const

/** @returns a file over compose.yaml without its comments, with defaults filled in */
export function readOverlay (file: string): Cluster {
  const text = readFileSync(join(ROOT, file), 'utf8').replace(/^#.*$/gm, '').replace(/\$\{\w+:-([^}]*)\}/g, '$1')
  return parse(text, { merge: true, customTags: known => [...known, ...tags] })
}

export function readCluster (): Cluster {
  const base = readCompose()
  const own = readOverlay('compose.cluster.yaml')
  const baseOf = (name: string, { extends: from }: Written): Partial<Service> => {
    if (from === undefined) return base.services[name] ?? {}
    return from.file === 'compose.yaml' ? base.services[from.service] : readOverlay(from.file).services[from.service]
  }
  const written = Object.entries(own.services).map(([name, it]) => [name, merge(baseOf(name, it), it)])
  return {
    services: { ...base.services, ...Object.fromEntries(written) }, volumes: { ...base.volumes, ...own.volumes }
  }
}

/** What is added to is maps, and mounts by their place; ports are given anew wherever they differ. */
function merge (base: Partial<Service>, own: Written): Written {
  const targetOf = (mount: string) => mount.split(':')[1]
  const mounts = new Map([...base.volumes ?? [], ...own.volumes ?? []].map(it => [targetOf(it), it]))
  return {
    ...base,
    ...own,
    environment: { ...base.environment, ...own.environment },
    depends_on: { ...named(base.depends_on), ...named(own.depends_on) },
    healthcheck: { ...base.healthcheck, ...own.healthcheck },
    volumes: [...mounts.values()]
  }
}

/** Names of services alone wait for no more than their start. */
function named (needed: Service['depends_on'] | readonly string[] = {}): NonNullable<Service['depends_on']> {
  return Array.isArray(needed)
    ? Object.fromEntries(needed.map(it => [it, { condition: 'service_started' }]))
    : needed as NonNullable<Service['depends_on']>
}
