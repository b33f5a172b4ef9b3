/** `relay keys list | create | rotate | revoke`: API keys, also for the first key before the API has one. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import {
  createApiKey, isScope, KEY_ENVIRONMENT_PATTERN, listApiKeys, revokeApiKey, rotateApiKey, scopes,
  type Scope, type StoredApiKey
} from 'relay-access'

import { actor } from './actor.ts'
import { parseDurationArgument } from './arguments.ts'
import { formatTime, printJson, printLine, printTable, type OutputOptions } from './output.ts'
import { openSiteDatabase } from './site.ts'

interface CreateOptions extends OutputOptions {
  readonly name: string
  readonly scope: readonly Scope[]
  readonly zone?: readonly string[]
  readonly devicePrefix?: readonly string[]
  readonly expires?: number
  readonly environment: string
}

const OVERLAP_MS = 24 * 3_600_000

export function addKeys (program: Command): void {
  const group = program.command('keys').description('manage API keys')
  group.command('list')
    .description('list all keys, including revoked ones, without secrets')
    .option('--json', 'as JSON')
    .action(list)
  group.command('create')
    .description('create a key and show it, only this once')
    .addOption(new Option('--name <name>', 'purpose of the key').makeOptionMandatory())
    .addOption(new Option('--scope <scope...>', scopes.join(', ')).argParser(parseScope).makeOptionMandatory())
    .option('--zone <zone...>', 'only these zones (default: all)')
    .option('--device-prefix <prefix...>', 'only devices whose ids start with this (default: all)')
    .option('--expires <duration>', 'lifetime, e.g. 90d (default: no limit)', parseDurationArgument)
    .addOption(environment())
    .option('--json', 'as JSON')
    .addHelpText(
      'after', '\nExamples:\n  relay keys create --name dashboard --scope events:read --zone "Zone A" --expires 90d'
    )
    .action(create)
  group.command('rotate')
    .description('give a key a new secret and show it, only this once; the old one still works for a while')
    .argument('<key-id>')
    .option('--overlap <duration>', 'how long the old secret still works', parseDurationArgument, OVERLAP_MS)
    .addOption(environment())
    .option('--json', 'as JSON')
    .action(rotate)
  group.command('revoke')
    .description('revoke a key, everywhere within seconds')
    .argument('<key-id>')
    .option('--json', 'as JSON')
    .action(revoke)
}

function environment (): Option {
  return new Option('--environment <name>', 'the part of a key that names its site, as set for the API')
    .env('API_KEY_ENVIRONMENT').default('local').argParser(text => {
      if (!new RegExp(KEY_ENVIRONMENT_PATTERN).test(text)) {
        throw new InvalidArgumentError('Must be lower-case letters and digits.')
      }
      return text
    })
}

function parseScope (text: string, before: readonly Scope[] = []): Scope[] {
  if (!isScope(text)) throw new InvalidArgumentError(`Must be one of ${scopes.join(', ')}.`)
  return [...before, text]
}

async function list ({ json }: OutputOptions): Promise<void> {
  await using site = await openSiteDatabase()
  const keys = await listApiKeys(site.database)
  if (json) printJson(keys.map(describe))
  else if (keys.length === 0) printLine('no keys')
  else {
    printTable(['key', 'name', 'scopes', 'zones', 'devices', 'state', 'last used'], keys.map(it => [
      it.keyId, it.name, it.scopes.join(' '), it.grants.zones?.join(', ') ?? 'all',
      it.grants.devicePrefixes?.map(prefix => `${prefix}…`).join(', ') ??
        'all', stateOf(it), formatTime(it.lastUsedAtMs ?? null)
    ]))
  }
}

async function create ({ name, scope, zone, devicePrefix, expires, environment, json }: CreateOptions): Promise<void> {
  await using site = await openSiteDatabase()
  const issued = await createApiKey(site.database, {
    environment,
    name,
    scopes: scope,
    grants: { zones: zone, devicePrefixes: devicePrefix },
    expiresAtMs: expires === undefined ? undefined : Date.now() + expires
  }, actor())
  if (json) printJson({ key: issued.key, ...describe(issued.stored) })
  else printLine(issued.key)
}

async function rotate (
  keyId: string,
  { overlap, environment, json }: OutputOptions & { readonly overlap: number, readonly environment: string }
): Promise<void> {
  await using site = await openSiteDatabase()
  const issued = await rotateApiKey(site.database, environment, keyId, overlap, actor())
  if (json) printJson({ key: issued.key, ...describe(issued.stored) })
  else printLine(issued.key)
}

async function revoke (keyId: string, { json }: OutputOptions): Promise<void> {
  await using site = await openSiteDatabase()
  const stored = await revokeApiKey(site.database, keyId, actor())
  if (json) printJson(describe(stored))
  else printLine(`${keyId} is revoked`)
}

function stateOf ({ revokedAtMs, expiresAtMs }: StoredApiKey): string {
  if (revokedAtMs !== undefined) return `revoked ${formatTime(revokedAtMs)}`
  if (expiresAtMs === undefined) return 'good'
  return `${expiresAtMs <= Date.now() ? 'expired' : 'valid until'} ${formatTime(expiresAtMs)}`
}

function describe (
  { keyId, name, scopes, grants, createdBy, createdAtMs, expiresAtMs, revokedAtMs, lastUsedAtMs }: StoredApiKey
) {
  const time = (timeMs: number | undefined) => timeMs === undefined ? null : formatTime(timeMs)
  return {
    keyId,
    name,
    scopes,
    zones: grants.zones ?? null,
    devicePrefixes: grants.devicePrefixes ?? null,
    createdBy,
    createdAt: time(createdAtMs),
    expiresAt: time(expiresAtMs),
    revokedAt: time(revokedAtMs),
    lastUsedAt: time(lastUsedAtMs)
  }
}
