import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'

import { fastify } from 'fastify'
import { listen, closeKeepAlive } from 'relay-common'

test('closing waits for requests in progress, but not for idle keep-alive connections', { timeout: 120_000 }, async t => {
  const app = fastify()
  closeKeepAlive(app)
  const asked = Promise.withResolvers<void>()
  const answering = Promise.withResolvers<void>()
  app.get('/slow', async () => {
    asked.resolve()
    await answering.promise
    return 'done'
  })
  app.get('/quick', async () => 'done')
  const { port, close } = await listen(app, '127.0.0.1', 0, 'PORT')
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const ask = async (path: string) => {
    const [response] = await once(get({ host: '127.0.0.1', port, path, agent }), 'response')
    return (await response.toArray()).join('')
  }

  const unused = connect(port, '127.0.0.1')
  t.after(() => unused.destroy())
  unused.on('error', () => {})
  let said = ''
  unused.on('data', bytes => { said += bytes })
  await once(unused, 'connect')
  const accepted = once(unused, 'close')
  assert.equal(await ask('/quick'), 'done') // by now the previous connection is accepted; this one stays open
  const slow = ask('/slow')
  await asked.promise

  const closed = close()
  await accepted
  assert.equal(said, '', 'it was parted with at once: one that has waited too long for a request is told 408')
  answering.resolve()
  assert.equal(await slow, 'done')
  await closed
})
