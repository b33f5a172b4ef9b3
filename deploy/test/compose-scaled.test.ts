/** compose.scaled.yaml over compose.yaml: several processors and APIs, and HAProxy before these. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { readApiConfig } from '../../relay-api/src/config.ts'
import { readCliConfig } from '../../relay-cli/src/config.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { skipWithout } from 'relay-test-support/debian-tool.ts'
import { readOverlay } from './support/cluster.ts'
import { environmentOf, readCompose, settingsOf } from './support/compose.ts'
import { environmentOf as environmentOfImage, PINNED, ROOT } from './support/dockerfile.ts'

const { services: scaled } = readOverlay('compose.scaled.yaml')
const { services } = readCompose()
const haproxyFile = join(ROOT, 'deploy/scaled/haproxy.cfg')
const haproxyConfig = readFileSync(haproxyFile, 'utf8')

test('the proxy has the port of the API, and rights and limits as every service', () => {
  const { proxy, api } = scaled
  assert.deepEqual(proxy.ports, services.api.ports)
  assert.equal(api.ports?.length, 0)
  assert.match(proxy.image!, PINNED)
  for (const setting of ['restart', 'cap_drop', 'security_opt', 'logging'] as const) {
    assert.deepEqual(proxy[setting], services.prometheus[setting], setting)
  }
  assert.equal(proxy.read_only, true)
  assert.deepEqual(Object.keys(proxy.deploy!.resources.limits).sort(), ['memory', 'pids'])
  assert.ok(proxy.volumes!.includes('./deploy/scaled/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro'))
})

test('the proxy asks each API for what its requests need, at the port of the image', () => {
  const { API_PORT } = environmentOfImage('api')
  const of = (backend: string) => haproxyConfig.split(/^(?=\w)/m).find(it => it.startsWith(`backend ${backend}\n`))!
  for (const [backend, need] of [['ingest', 'ingest'], ['query', 'query']]) {
    assert.match(of(backend), new RegExp(`uri /readyz\\?for=${need} `))
    assert.match(of(backend), new RegExp(`server-template ${backend} \\d+ ${backend}:${API_PORT}\n`))
    assert.ok(scaled.api.networks!.default.aliases.includes(backend))
  }
  assert.match(of('query'), /disable-l7-retry unless METH_GET/, 'a key that is made must not be made twice')
})

test('an API that is stopped drains for longer than the proxy takes to notice, and ends before it is killed', () => {
  const [, interval, fall] = haproxyConfig.match(/default-server check inter (\d+)s fall (\d+)/)!
  const { SHUTDOWN_DRAIN_MS, SHUTDOWN_TIMEOUT_MS } = readApiConfig({
    ...environmentOfImage('api'), ...settingsOf(services.api), ...environmentOf(scaled.api)
  })
  assert.ok(SHUTDOWN_DRAIN_MS > Number(interval) * Number(fall) * 1_000)
  assert.ok(parseInt(services.api.stop_grace_period) * 1_000 > SHUTDOWN_DRAIN_MS + SHUTDOWN_TIMEOUT_MS)
})

test('the proxy waits for a stream for longer than it is silent', () => {
  const [, seconds] = haproxyConfig.match(/timeout server (\d+)s/)!
  assert.ok(Number(seconds) * 1_000 > readApiConfig({}).STREAM_HEARTBEAT_MS)
})

test('PostgreSQL has connections for all of them and `relay` at once', () => {
  const setting = services.postgres.command!.find(it => it.startsWith('max_connections='))!
  const listening = 1 // a connection of each program beside its pool
  const reserved = 10 // PostgreSQL's own for superusers, the exporter's, and those of who looks after it
  const needed = scaled.processor.scale! * (readProcessorConfig(settingsOf(services.processor)).DATABASE_POOL_MAX +
    listening) +
    scaled.api.scale! * (readApiConfig(settingsOf(services.api)).DATABASE_POOL_MAX + listening) +
    readCliConfig(settingsOf(services.relay)).DATABASE_POOL_MAX + reserved
  assert.ok(Number(setting.split('=')[1]) >= needed, `${needed} connections`)
})

const haproxy = existsSync('/usr/sbin/haproxy') ? '/usr/sbin/haproxy' : 'haproxy'
test('a real HAProxy takes its settings', { skip: skipWithout(haproxy, 'haproxy', '-v') }, () => {
  const { status, stdout, stderr } = spawnSync(haproxy, ['-c', '-f', haproxyFile], { encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
  assert.doesNotMatch(stdout + stderr, /WARNING/)
})
