import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

/** Creates a client with invalid options, after loading its library in one of two ways. @returns the error */
async function refusalAfter (load: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', `
    ${load}
    const { Admin, Consumer } = await import('@platformatic/kafka')
    const refusals = [
      () => new Admin({ clientId: 'test', bootstrapBrokers: [], retries: 'many', strict: true }),
      () => new Consumer({ clientId: 'test', bootstrapBrokers: ['127.0.0.1:9'], sessionTimeout: -1, strict: true }),
      () => new Admin({ clientId: 'test', bootstrapBrokers: ['127.0.0.1:9'], strict: true })
    ].map(make => { try { return make().constructor.name } catch (error) { return error.message } })
    console.log(JSON.stringify(refusals))
  `], { cwd: import.meta.dirname })
  return stdout
}

test('Kafka\'s library still checks its options when their schemas are compiled later', async () => {
  const plainly = await refusalAfter('')
  const [admin, consumer, valid] = JSON.parse(plainly)
  assert.match(admin, /retries/)
  assert.match(consumer, /sessionTimeout/)
  assert.equal(valid, 'Admin')
  const lazily = await refusalAfter(
    "const { loadKafkaLibrary } = await import('../src/kafka/library.ts'); loadKafkaLibrary()")
  assert.equal(lazily, plainly)
})
