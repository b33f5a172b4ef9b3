import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { renderCapacity, WRITE_COMMAND as WRITE_CAPACITY } from '../../docs/capacity.ts'
import { renderPerformance, WRITE_COMMAND } from '../../docs/performance.ts'
import { ROOT } from './support/dockerfile.ts'

test('docs/performance.md has the figures that were measured', () => {
  const page = readFileSync(join(ROOT, 'docs/performance.md'), 'utf8')
  assert.ok(page === renderPerformance(), `docs/performance.md is out of date; write it with: ${WRITE_COMMAND}`)
})

test('docs/capacity.md has the figures that were measured', () => {
  const page = readFileSync(join(ROOT, 'docs/capacity.md'), 'utf8')
  assert.ok(page === renderCapacity(), `docs/capacity.md is out of date; write it with: ${WRITE_CAPACITY}`)
})
