/** Which file imports which: no circles, types included, and no program that another one may not know. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'

import ts from 'typescript'

import { ROOT } from './support/dockerfile.ts'

/** Packages that programs are built on, and the other packages that each may import; all may import relay-common. */
const packages: Readonly<Record<string, readonly string[]>> = {
  'relay-common': [],
  'relay-event-log': [],
  'relay-rollups': [],
  'relay-access': ['relay-rollups'],
  'relay-dead-letters': ['relay-event-log', 'relay-rollups', 'relay-access']
}

/** Programs, and the other programs whose sources each may import; all may import the packages. */
const programs: Readonly<Record<string, readonly string[]>> = {
  'relay-issuer': [],
  'relay-simulator': [],
  'relay-processor': [],
  'relay-api': [],
  'relay-cli': ['relay-processor', 'relay-simulator', 'relay-client'],
  'relay-stack': ['relay-simulator']
}

/** What runs in a browser knows no package of a server. */
const pages: Readonly<Record<string, readonly string[]>> = {
  'relay-client': [],
  'relay-dashboard': ['relay-client']
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
    const known = own in packages
      ? ['relay-common', ...packages[own]]
      : own in programs ? [...Object.keys(packages), ...programs[own]] : pages[own]
    assert.ok(known, `${own} is in no list`)
    for (const { fileName } of ts.preProcessFile(readFileSync(join(ROOT, file), 'utf8')).importedFiles) {
      const other = /^(relay-[\w-]+)(\/|$)/.exec(fileName)?.[1] ?? workspaceOf(file, fileName)
      assert.ok(other === undefined || other === own || known.includes(other), `${file} imports ${fileName}`)
    }
  }
})

test('rollups know nothing of events, and events only how time is cut', () => {
  const isEvent = (file: string) => file.startsWith('relay-rollups/src/event/')
  const inside = files.filter(it => it.startsWith('relay-rollups/src/') && it !== 'relay-rollups/src/index.ts')
  assert.ok(inside.some(isEvent) && !inside.every(isEvent))
  for (const file of inside) {
    for (const imported of importsOf(file).filter(it => it !== 'relay-rollups/src/window.ts')) {
      assert.equal(isEvent(imported), isEvent(file), `${file} imports ${imported}`)
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
