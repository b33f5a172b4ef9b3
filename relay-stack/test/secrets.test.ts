/**
 * Secrets stay secret in every failure: the real programs, with known secrets and full logging, are made to fail, and
 * all their output is searched.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'

import getPort from 'get-port'
import { allowLogin, databaseUserOf } from 'relay-access'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { openSecuredKafka, PASSWORD, USER } from 'relay-test-support/secured-kafka.ts'
import { logInService, type Tokens } from '../../relay-issuer/test/support/log-in.ts'
import { until } from 'relay-test-support/until.ts'
import { assertNoSecret, commandLinesOf, makeSecret, startWatched, whenReady } from './support/secrets.ts'
import { makeDataDir, onFreePorts, runningOn, startByNpm } from './support/stack-process.ts'

const HOST = '127.0.0.1'
const loudest = { LOG_LEVEL: 'trace', HEALTH_PORT: '0', API_PORT: '0', EVENT_LOG: 'postgres' }
const daemons = ['processor', 'api', 'simulator']

suite('secrets', { concurrency: 1 }, () => {
  test('invalid settings are reported without their values', { timeout: 300_000 }, async t => {
    const { url } = await openLocalPostgres(t)
    const { hostname, port, pathname } = new URL(url)
    const folder = await mkdtemp(join(tmpdir(), 'relay-secrets-'))
    t.after(() => rm(folder, { recursive: true }))
    const secret = makeSecret()
    const file = join(folder, 'secret')
    await writeFile(file, secret)
    const inAddress = encodeURIComponent(secret)
    const nobody = await getPort({ host: HOST })
    const there = { POSTGRES_HOST: hostname, POSTGRES_PORT: port, POSTGRES_DB: pathname.slice(1) }
    const kafka = { EVENT_LOG: 'kafka', KAFKA_BOOTSTRAP_SERVERS: `${HOST}:${nobody}`, DATABASE_URL: url }
    const sasl = { KAFKA_SASL_MECHANISM: 'PLAIN', KAFKA_SASL_USERNAME: 'relay', KAFKA_SASL_PASSWORD: secret }

    const cases: Array<[what: string, programs: readonly string[], settings: Record<string, string>]> = [
      ['a wrong password', daemons, { ...there, POSTGRES_PASSWORD: secret }],
      ['a wrong password in a file', ['api'], { ...there, POSTGRES_PASSWORD_FILE: file }],
      [
        'a wrong password in an address', ['processor', 'cli'],
        { DATABASE_URL: url.replace(/:[^:@/]+@/, `:${inAddress}@`) }
      ],
      [
        'a server that is not there', ['simulator', 'cli'],
        { DATABASE_URL: `postgresql://relay:${inAddress}@${HOST}:${nobody}/relay` }
      ],
      ['a host that is not there', ['api'], { DATABASE_URL: `postgresql://relay:${inAddress}@nowhere.invalid/relay` }],
      [
        'an address that is none', ['processor', 'cli'],
        { DATABASE_URL: `postgresql://relay:${inAddress}@${HOST}:port/relay` }
      ],
      ['an address that is none at all', ['api'], { DATABASE_URL: `${secret} postgresql` }],
      ['an address in a file that is none', ['api'], { DATABASE_URL_FILE: file }],
      ['a wrong password for the replica', ['api'], {
        DATABASE_URL: url, API_PORT: '-1', DATABASE_REPLICA_URL: `postgresql://relay:${inAddress}@${HOST}:x/relay`
      }],
      ['two passwords', ['processor'], { ...there, POSTGRES_PASSWORD: secret, POSTGRES_PASSWORD_FILE: file }],
      ['another setting that is wrong', ['api', 'simulator'], {
        ...there, POSTGRES_PASSWORD: secret, API_TOKENS: secret, LOG_LEVEL: 'chatty'
      }],
      ['a server without TLS', ['api'], { DATABASE_URL: url, POSTGRES_PASSWORD: secret, DATABASE_TLS: 'true' }],
      ['a key that is none', ['api', 'processor'], {
        ...there, DATABASE_TLS: 'true', DATABASE_TLS_CERT_FILE: file, DATABASE_TLS_KEY_FILE: file
      }],
      ['a token that no header can hold', ['api'], { DATABASE_URL: url, API_TOKENS: `${secret} é` }],
      ['the well-known token beside another', ['api'], {
        DATABASE_URL: url, API_TOKENS: `supermetrics-api-token-2024,${secret}`, NODE_ENV: 'production'
      }],
      ['a Kafka that is not there', ['processor'], { ...kafka, ...sasl }],
      ['a login to Kafka with half of its settings', ['processor'], { ...kafka, ...sasl, KAFKA_SASL_USERNAME: '' }],
      ['a mechanism that is none', ['simulator', 'api'], { ...kafka, ...sasl, KAFKA_SASL_MECHANISM: 'MAGIC' }],
      ['a key to Kafka that is none', ['processor'], {
        ...kafka, KAFKA_TLS: 'true', KAFKA_TLS_CERT_FILE: file, KAFKA_TLS_KEY_FILE: file
      }],
      ['an issuer in production', ['issuer'], { ISSUER_CLIENT_SECRET: secret, NODE_ENV: 'production' }]
    ]
    let runs = 0
    for (const [what, programs, settings] of cases) {
      await Promise.all(programs.map(async name => {
        const environment = { ...loudest, DATABASE_CONNECT_TIMEOUT_MS: '500', ...settings }
        const program = startWatched(t, name, environment, name === 'cli' ? ['lag'] : [])
        assertNoSecret(commandLinesOf(program.process.pid!), { secret }, 'a command line')
        await until(
          () => `${name} to end with ${what}: ${program.output()}`, () => program.process.exitCode !== null, 30_000
        )
        await program.exited
        assert.notEqual(program.process.exitCode, 0, `${name} with ${what}: ${program.output()}`)
        assert.ok(program.output().length > 0, `${name} with ${what} says nothing`)
        assertNoSecret(program.output(), { secret }, `what ${name} says of ${what}`)
        runs++
      }))
    }
    t.diagnostic(`${runs} starts that failed`)
  })

  test('a running API and issuer reveal none, even if the database refuses them', { timeout: 180_000 }, async t => {
    const { database, url } = await openLocalPostgres(t)
    const secrets: Record<string, string> = {
      'database password': makeSecret(),
      'client secret': makeSecret().replace(/[^\w]/g, ''),
      'configured token': `token-${makeSecret().replace(/[^\w]/g, '')}`,
      'token that nobody knows': `wrong-${makeSecret().replace(/[^\w]/g, '')}`
    }
    await allowLogin(database, 'api', secrets['database password'])
    const issuerUrl = `http://${HOST}:${await getPort({ host: HOST })}`
    const issuer = startWatched(t, 'issuer', {
      LOG_LEVEL: 'trace', ISSUER_PORT: new URL(issuerUrl).port, ISSUER_CLIENT_SECRET: secrets['client secret']
    })
    const { hostname, port, pathname } = new URL(url)
    const apiPort = await getPort({ host: HOST })
    const metricsPort = await getPort({ host: HOST, exclude: [apiPort] })
    const api = startWatched(t, 'api', {
      ...loudest,
      API_PORT: String(apiPort),
      METRICS_PORT: String(metricsPort),
      POSTGRES_HOST: hostname,
      POSTGRES_PORT: port,
      POSTGRES_DB: pathname.slice(1),
      POSTGRES_USER: databaseUserOf('api'),
      POSTGRES_PASSWORD: secrets['database password'],
      API_TOKENS: secrets['configured token'],
      OIDC_ISSUER: issuerUrl
    })
    await Promise.all([whenReady(api), whenReady(issuer)])

    let answers = ''
    const ask = async (path: string, token?: string, init: RequestInit = {}) => {
      const headers = {
        ...token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...init.body ? { 'content-type': 'application/json' } : {}
      }
      const response = await fetch(`http://${HOST}:${apiPort}${path}`, { ...init, headers })
      const body = await response.text()
      return {
        status: response.status,
        body,
        said: `${path} ${response.status} ${JSON.stringify([...response.headers])} ${body}\n`
      }
    }
    /** Sends a request, and stores the answer. @returns the status */
    const look = async (...asked: Parameters<typeof ask>) => {
      const { status, said } = await ask(...asked)
      answers += said
      return status
    }

    const token = secrets['configured token']
    const question = '/api/v1/aggregates?start=-1h'
    const made = JSON.parse((await ask('/api/v1/keys', token, {
      method: 'POST', body: '{"name":"k","scopes":["events:read"]}'
    })).body)
    secrets['API key'] = made.key.split('_')[3]
    const rotated = JSON.parse((await ask(`/api/v1/keys/${made.id}/rotate`, token, {
      method: 'POST', body: '{"overlapSeconds":0}'
    })).body)
    secrets['rotated key'] = rotated.key.split('_')[3]
    const granted = await (await logInService(issuerUrl, 'events:read', secrets['client secret'])).json() as Tokens
    secrets['access token'] = granted.access_token.split('.')[2]
    const refusedLogin = await logInService(issuerUrl, 'events:read', secrets['token that nobody knows'])
    answers += await refusedLogin.text()
    assert.equal(refusedLogin.status, 401)

    assert.equal(await look(question, token), 200)
    assert.equal(await look(question, rotated.key), 200)
    assert.equal(await look(question, granted.access_token), 200)
    assert.equal(await look(question, secrets['token that nobody knows']), 401)
    assert.equal(await look(question, `${granted.access_token.slice(0, -9)}AAAAAAAAA`), 401)
    assert.equal(await look(question, granted.access_token.replace(/^[^.]+/, 'eyJhbGciOiJub25lIn0')), 401)
    assert.equal(await look(question, `${rotated.key.slice(0, -1)}_`), 401)
    assert.equal(await look('/api/v1/keys', rotated.key), 403)
    assert.equal(await look('/api/v1/keys', token), 200)
    assert.equal(await look(`/api/v1/keys/${made.id}`, token, { method: 'DELETE' }), 204)
    await until('the revoked key to be dead', async () => await look(question, rotated.key) === 401)
    assert.equal(
      await look('/api/v1/events', token, { method: 'POST', body: `{"deviceId":"${token.slice(0, 5)}"}` }), 422
    )
    assert.equal(await look('/api/v1/nowhere', token), 404)
    for (const path of ['/readyz', '/openapi.json']) assert.equal(await look(path), 200)
    answers += await (await fetch(`http://${HOST}:${metricsPort}/metrics`)).text()
    // a token in the URL, where it must not be: the log must not keep it
    assert.equal(await look(`${question}&access_token=${token}`), 401)
    assert.equal(await look(`${question}&access_token=${token}`, token), 400)

    await allowLogin(database, 'api', 'another')
    await database.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [databaseUserOf('api')]
    )
    await until('the database to refuse the API', async () => // at first it only sees a lost connection
      await look(`${question}&tz=UTC`, token) >= 500 && api.output().includes('password authentication failed'))
    await look('/readyz')

    for (const { process: { pid } } of [api, issuer]) assertNoSecret(commandLinesOf(pid!), secrets, 'a command line')
    for (const program of [api, issuer]) {
      program.process.kill('SIGTERM')
      await program.exited
    }
    assertNoSecret(api.output(), secrets, 'the log of the API')
    assertNoSecret(issuer.output(), secrets, 'the log of the issuer')
    // the client gets its own URL back, with its token; nobody else does
    const { 'configured token': _, ...ofOthers } = secrets
    assertNoSecret(answers, ofOthers, 'an answer')
    const kept = await database.query(
      'select (select array_agg(k::text) from api_keys k) as keys, (select array_agg(a::text) from audit_log a) as acts'
    )
    assertNoSecret(JSON.stringify(kept), secrets, 'the database')
  })

  test('a login that Kafka refuses reveals none; with the right password the API accepts events', { timeout: 180_000 }, async t => {
    const kafka = await openSecuredKafka(t)
    if (!kafka) return
    const { url } = await openLocalPostgres(t)
    const secret = makeSecret()
    for (const [mechanism, server] of [['PLAIN', kafka.plain], ['SCRAM-SHA-256', kafka.scram]]) {
      const start = (name: string, password: string) => startWatched(t, name, {
        ...loudest,
        EVENT_LOG: 'kafka',
        DATABASE_URL: url,
        KAFKA_BOOTSTRAP_SERVERS: server,
        KAFKA_TLS: 'true',
        KAFKA_TLS_CA_FILE: kafka.own.caFile,
        KAFKA_SASL_MECHANISM: mechanism,
        KAFKA_SASL_USERNAME: USER,
        KAFKA_SASL_PASSWORD: password
      }, name === 'cli' ? ['lag'] : [])
      const letIn = start('api', PASSWORD)
      await until(() => `the API to take events: ${letIn.output()}`, () => letIn.output().includes('ingest started'))
      letIn.process.kill('SIGTERM')
      await Promise.all([...daemons, 'cli'].map(async name => {
        const program = start(name, secret)
        // the API answers queries without an event log, and logs why it accepts no events
        await until(() => `${name} to be refused: ${program.output()}`, () =>
          program.process.exitCode !== null || /login|KAFKA_SASL/.test(program.output()))
        program.process.kill('SIGTERM')
        await program.exited
        assert.ok(program.output().length > 0)
        assertNoSecret(program.output(), { secret }, `what ${name} says of a wrong password (${mechanism})`)
      }))
    }
  })

  test('npm start reveals no password of the database, in no log and on no command line', { timeout: 180_000 }, async t => {
    const dataDir = await makeDataDir(t)
    const npm = startByNpm(dataDir, ['--event-log', 'postgres', '--issuer', '--backfill', '10s', ...onFreePorts])
    await npm.up()
    const passwords = join(dataDir, 'passwords')
    const names = await readdir(passwords)
    const secrets = Object.fromEntries(await Promise.all(names.map(async it => [it, (await readFile(join(
      passwords, it
    ), 'utf8')).trim()])))
    assert.ok(names.length >= 4)
    const running = runningOn(dataDir)
    assert.ok(running.length >= 5)
    for (const pid of [npm.pid, ...running]) assertNoSecret(commandLinesOf(pid), secrets, 'a command line')
    for (const pid of running) {
      assertNoSecret(await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => ''), secrets, 'an environment')
    }
    npm.kill('SIGTERM')
    assert.equal(await npm.exited, 0, npm.text)
    assertNoSecret(npm.text, secrets, 'the terminal')
    for (const file of await readdir(join(dataDir, 'logs'))) {
      assertNoSecret(await readFile(join(dataDir, 'logs', file), 'utf8'), secrets, file)
    }
  })
})
