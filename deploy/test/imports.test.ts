/** Which file imports which: no circles, types included, and no program that another one may not know. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'

import ts from 'typescript'

import { ROOT } from './support/dockerfile.ts'

/** Workspaces whose sources one may import besides its own; all may import relay-common. */
const known: Readonly<Record<string, readonly string[]>> = {
  'relay-common': [],
  'relay-client': [],
  'relay-issuer': [],
  'relay-simulator': [],
  'relay-processor': [],
  'relay-api': [],
  'relay-cli': ['relay-processor', 'relay-simulator', 'relay-client'],
  'relay-dashboard': ['relay-client'],
  'relay-stack': ['relay-simulator']
}

const files = globSync('relay-*/src/**/*.{ts,tsx}', { cwd: ROOT })
const imports = new Map(files.map(file => [file, importsOf(file)]))

test('no files import each other in a circle, not even types', () => {
  assert.deepEqual(findCircles(imports), [])
})

test('a circle is found', () => {
  const graph = new Map([['a', ['b', 'd']], ['b', ['c']], ['c', ['a']], ['d', ['d']], ['e', ['a']]])
  assert.deepEqual(findCircles(graph), [['a', 'b', 'c'], ['d']])
})

test('a workspace imports only those that it may know', () => {
  for (const file of files) {
    const [own] = file.split('/')
    const text = readFileSync(join(ROOT, file), 'utf8')
    for (const { fileName } of ts.preProcessFile(text).importedFiles) {
      const other = /^(relay-[\w]+)(\/|$)/.exec(fileName)?.[1] ?? workspaceOf(file, fileName)
      if (other === undefined || other === own || other === 'relay-common') continue
      assert.ok(known[own]?.includes(other), `${file} imports ${fileName}`)
    }
  }
})

/** Folders of relay-common that are built on its base alone, side by side. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  'event-log': ['access', 'event', 'rollups'],
  rollups: ['access', 'event', 'event-log', 'database'],
  event: ['access', 'event-log', 'rollups', 'database']
}

test('event log, rollups and events know nothing of each other', () => {
  for (const [room, foreign] of Object.entries(rooms)) {
    const own = files.filter(it => it.startsWith(`relay-common/src/${room}/`))
    assert.ok(own.length > 3, room)
    for (const file of own) {
      for (const imported of importsOf(file)) {
        assert.ok(!foreign.some(it => imported.startsWith(`relay-common/src/${it}/`)), `${file} imports ${imported}`)
      }
    }
  }
})

function workspaceOf (file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return relative(ROOT, resolve(ROOT, dirname(file), specifier)).split('/')[0]
}

function importsOf (file: string): string[] {
  return ts.preProcessFile(readFileSync(join(ROOT, file), 'utf8')).importedFiles
    .map(({ fileName }) => fileName)
    .filter(it => it.startsWith('.') && /\.tsx?$/.test(it))
    .map(it => relative(ROOT, resolve(ROOT, dirname(file), it)))
}

/** Strongly connected files (Tarjan 1972), sorted. */
function findCircles (graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = []
  const order = new Map<string, number>()
  const low = new Map<string, number>()
  const open: string[] = []
  const visit = (node: string) => {
    const start = order.size
    order.set(node, start)
    low.set(node, start)
    open.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) visit(next)
      if (open.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!))
    }
    if (low.get(node) !== start) return
    const circle = open.splice(open.indexOf(node))
    if (circle.length > 1 || graph.get(node)?.includes(node)) found.push(circle.sort())
  }
  for (const node of graph.keys()) if (!order.has(node)) visit(node)
  return found.sort((a, b) => a[0] < b[0] ? -1 : 1)
}
