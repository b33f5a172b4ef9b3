import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { renderPerformance, WRITE_COMMAND } from '../../docs/performance.ts'
import { ROOT } from './support/dockerfile.ts'

test('docs/performance.md has the figures that were measured', () => {
  const page = readFileSync(join(ROOT, 'docs/performance.md'), 'utf8')
  assert.ok(page === renderPerformance(), `docs/performance.md is out of date; write it with: ${WRITE_COMMAND}`)
})
