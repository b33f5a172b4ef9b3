import assert from 'node:assert/strict'
import { test } from 'node:test'

import { checkQuotable } from '../src/postgres-binaries.ts'

test('a path that the shell commands of PostgreSQL would misread is refused, and others are not', () => {
  const fine = ['/home/a b/relay', "/home/o'neil/relay", '/home/ünï/(1)/relay', '/a;b&c|d*?']
  for (const folder of fine) checkQuotable(folder)
  for (const folder of ['/a"b', '/$HOME/relay', '/`id`', '/a\\b', '/a\nb']) {
    assert.throws(() => checkQuotable(folder), {
      code: 'RELAY_CONFIG_INVALID', message: /^PostgreSQL can't run in .*DATABASE_URL$/
    })
  }
})
