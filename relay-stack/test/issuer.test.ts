/** `npm start -- --issuer`: OAuth from the first token to an answer, with the commands of docs/security.md. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { promisify } from 'node:util'

import { makeDataDir, onFreePorts, startStackProcess } from './support/stack-process.ts'

const run = promisify(execFile)
const documentation = new URL('../../docs/security.md', import.meta.url)

test('the commands of the documentation get tokens that the API accepts', { timeout: 180_000 }, async t => {
  const args = ['--event-log', 'postgres', '--issuer', '--backfill', '10s', ...onFreePorts]
  const stack = startStackProcess(await makeDataDir(t), args)
  const { url } = await stack.up()
  const [, issuer] = /^ {2}issuer +(http:\/\/\S+)\/\.well-known/m.exec(stack.text)!
  const ask = async (token: string) => (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status

  const commands = [...(await readFile(documentation, 'utf8')).matchAll(/```sh\n(.+?)```/gs)].map(([, it]) => it)
  const [service, person] = commands.filter(it => it.includes('8083')).map(it => it.replaceAll(
    'http://127.0.0.1:8083', issuer
  ))
  for (const command of [service, person]) {
    const { stdout } = await run('bash', ['-c', command])
    const { access_token: token } = JSON.parse(stdout) as { access_token: string }
    assert.equal(await ask(token), 200, command)
  }
  assert.equal(await ask('another'), 401)
  stack.kill('SIGTERM')
  assert.equal(await stack.exited, 0)
})
