/** What `npm start` prints. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { renderTable, shortPath } from '../src/report.ts'

test('a path in the current folder is printed from there, and another one whole', () => {
  const folder = join(process.cwd(), '.relay')
  assert.equal(shortPath(folder), '.relay')
  assert.equal(shortPath('/a'), '/a')
  const table = renderTable([{ part: 'api', where: 'here', logFile: join(folder, 'api.log') }])
  assert.match(table, / \.relay\/api\.log$/m)
})
