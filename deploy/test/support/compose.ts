/** compose.yaml as data, with `${NAME:-value}` filled in as `docker compose` would. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { parse } from 'yaml'

import { ROOT } from './dockerfile.ts'

export interface Service {
  readonly image: string
  readonly build?: { readonly context: string, readonly target: string }
  readonly user?: string
  readonly ports?: readonly string[]
  readonly entrypoint?: readonly string[]
  readonly command?: readonly string[]
  readonly environment: Readonly<Record<string, string | number>>
  readonly volumes?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: {
    readonly test?: readonly string[], readonly start_period?: string, readonly disable?: boolean
  }
  readonly restart: string
  readonly read_only?: boolean
  readonly profiles?: readonly string[]
  readonly tmpfs?: readonly string[]
  readonly init?: boolean
  readonly cap_drop: readonly string[]
  readonly cap_add?: readonly string[]
  readonly privileged?: boolean
  readonly security_opt: readonly string[]
  readonly stop_grace_period: string
  readonly logging: { readonly options: Readonly<Record<string, string>> }
  readonly deploy: { readonly resources: { readonly limits: Readonly<Record<string, string | number>> } }
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}

/** compose.yaml without its comments: what looks like a variable there is none */
export const composeText = readFileSync(join(ROOT, 'compose.yaml'), 'utf8').replace(/^#.*$/gm, '')

/** @param environment what the user has set, in the shell or in `.env` */
export function readCompose (environment: Readonly<Record<string, string>> = {}): Compose {
  const text = composeText.replace(/\$\{(\w+):-([^}]*)\}/g, (_, name, preset) => environment[name] || preset)
  return parseCompose(text)
}

/**
 * @param text of compose.yaml, with what a user may set filled in or not. Services that set nothing have an empty
 * environment.
 */
export function parseCompose (text: string): Compose {
  const compose: Compose = parse(text, { merge: true })
  return {
    ...compose,
    services: Object.fromEntries(
      Object.entries(compose.services).map(([name, it]) => [name, { ...it, environment: it.environment ?? {} }])
    )
  }
}

/** The variables that compose.yaml lets a user set, with their defaults. */
export function variables (): Map<string, string> {
  return new Map([...composeText.matchAll(/\$\{(\w+):-([^}]*)\}/g)].map(([, name, preset]) => [name, preset]))
}

/** The environment of a service as its program sees it: text, all of it. */
export function environmentOf (service: Service): Record<string, string> {
  return Object.fromEntries(Object.entries(service.environment).map(([name, value]) => [name, String(value ?? '')]))
}

/** What a program reads of its environment; its password is in a file, which is in the container alone. */
export function settingsOf (service: Service): Record<string, string> {
  const { POSTGRES_PASSWORD_FILE, ...settings } = environmentOf(service)
  return settings
}
