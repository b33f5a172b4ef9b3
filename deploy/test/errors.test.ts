import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { renderErrors } from '../../docs/errors.ts'
import { ROOT } from './support/dockerfile.ts'

test('docs/errors.md says what the codes say', () => {
  const page = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')
  assert.ok(page === renderErrors(), 'docs/errors.md is out of date; write it with: npm exec -- node docs/errors.ts')
})
