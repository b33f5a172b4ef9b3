/** The proxy between programs and servers must not interfere by itself. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A connection that is cut in the turn in which the proxy ends it. */
const endAndCut = `
  import { once } from 'node:events'
  import { connect, createServer, Socket } from 'node:net'
  import { openTcpProxy } from ${JSON.stringify(new URL('../../test-support/tcp-proxy.ts', import.meta.url).href)}

  const { end } = Socket.prototype
  const server = createServer(it => end.call(it.on('error', () => {})))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const proxy = await openTcpProxy(server.address().port)

  Socket.prototype.end = function (...args) {
    end.apply(this, args)
    process.nextTick(() => console.log(proxy.cut(), 'cut'))
    return this
  }
  const client = connect(proxy.port, '127.0.0.1').on('error', () => {})
  await new Promise(resolve => client.on('close', resolve))
  await proxy.close()
  server.close()
`

test('a process that has cut connections through a proxy can end', async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', endAndCut], { timeout: 30_000 })
  assert.match(stdout, /^1 cut/m)
})
