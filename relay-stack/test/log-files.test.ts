import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'

import { until } from 'relay-test-support/until.ts'
import { followLog, openLogFiles, readableLine, readLastLines } from '../src/log-files.ts'

suite('logs of the parts', () => {
  test('a new run starts a new file and keeps the previous one', async t => {
    const folder = await makeFolder(t)
    for (const text of ['one\n', 'two\n', 'three\n']) {
      const logs = await openLogFiles(folder)
      await appendFile(logs.pathOf('api'), text)
      await logs.close()
    }
    assert.deepEqual((await readdir(folder)).sort(), ['api.log', 'api.log.before'])
    assert.equal(await readFile(join(folder, 'api.log'), 'utf8'), 'three\n')
    assert.equal(await readFile(join(folder, 'api.log.before'), 'utf8'), 'two\n')
  })

  test('a long log is truncated while it is written', async t => {
    const folder = await makeFolder(t)
    const logs = await openLogFiles(folder)
    t.after(() => logs.close())
    const path = logs.pathOf('kafka')
    await appendFile(path, 'x'.repeat(17 * 1024 * 1024))
    await until('the log to be cut', () => stat(path).then(it => it.size === 0))
    await appendFile(path, 'after\n')
    assert.equal(await readFile(path, 'utf8'), 'after\n')
    assert.equal((await stat(`${path}.before`)).size, 17 * 1024 * 1024)
  })

  test('appended lines are shown one by one, for any pieces, also after a truncation', async t => {
    const path = join(await makeFolder(t), 'api.log')
    const lines: string[] = []
    const following = followLog(path, line => { lines.push(line) })
    await appendFile(path, 'one\ntw')
    await until('the first line', () => lines.length === 1)
    await appendFile(path, 'o\n')
    await until('the second line', () => lines.length === 2)
    await writeFile(path, 'cut\n')
    await until('the line after the cut', () => lines.length === 3)
    await appendFile(path, 'at last\n')
    await following.close()
    assert.deepEqual(lines, ['one', 'two', 'cut', 'at last'])
  })

  test('the last lines are returned, and none without a log', async t => {
    const path = join(await makeFolder(t), 'api.log')
    assert.deepEqual(await readLastLines(path, 3), [])
    await writeFile(path, Array.from({ length: 10_000 }, (_, n) => `line ${n}\n`).join('') + '\n')
    assert.deepEqual(await readLastLines(path, 3), ['line 9997', 'line 9998', 'line 9999'])
  })

  const lines = [
    ['FATAL:  the database system is starting up', 'FATAL:  the database system is starting up'],
    ['{"level":"info","time":"T","pid":1,"name":"relay-api","msg":"up","port":8080}', 'info: up (port=8080)'],
    ['{"level":"fatal","msg":"no log","err":{"message":"ECONNREFUSED","stack":"…"}}', 'fatal: no log (ECONNREFUSED)'],
    ['{"level":"fatal","msg":"same","err":{"message":"same"}}', 'fatal: same'],
    ['{"answer":42}', '{"answer":42}'],
    ['null', 'null'],
    ['{"level":"info","msg":', '{"level":"info","msg":']
  ]
  for (const [line, readable] of lines) {
    test(`${line} reads ${readable}`, () => assert.equal(readableLine(line), readable))
  }
})

async function makeFolder (t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-logs-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
