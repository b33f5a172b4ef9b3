/**
 * Clients generated from the OpenAPI document work: they compile, send events, query their average, and read errors.
 * Each is used as in `generated-clients/`, with the API, a processor and an event log.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { run } from 'relay-test-support/install-once.ts'
import { shortLivedJvm } from 'relay-test-support/short-lived-jvm.ts'
import { javaGenerator, pythonGenerator, type Generator } from './generated-clients/generators.ts'
import { TOKEN } from './support/ask.ts'
import { openStreamSite } from './support/stream-site.ts'

const sourceOf = (name: string) => fileURLToPath(new URL(`generated-clients/${name}`, import.meta.url))

/** In CI a missing tool is a failure. */
async function optionsOf ({ findMissing }: Generator) {
  const missing = process.env.CI ? undefined : await findMissing()
  return { timeout: 300_000, skip: missing === undefined ? false : `there is no ${missing} here` }
}

/** A site, and a folder with its document. */
async function openSite (t: TestContext) {
  const opened = new AsyncDisposableStack()
  const { url } = opened.use(await openStreamSite(t))
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-generated-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const document = join(folder, 'openapi.json')
  await writeFile(document, await (await fetch(`${url}/openapi.json`)).text())
  return { url, folder, document, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

suite('a generated client sends events, queries their average, and reads errors', { concurrency: true }, async () => {
  test('for Python, by openapi-python-client, without a warning', await optionsOf(pythonGenerator), async t => {
    const tools = await pythonGenerator.install()
    await using site = await openSite(t)
    const env = {
      PYTHONPATH: tools, PATH: join(tools, 'bin') + delimiter + process.env.PATH, PYTHONDONTWRITEBYTECODE: '1'
    }
    const client = join(site.folder, 'relay_client')
    await run('python3', ['-m', 'openapi_python_client', 'generate', '--path', site.document, '--output-path', client,
      '--meta', 'none', '--fail-on-warning'], env)
    await run('python3', [sourceOf('use.py'), site.folder, site.url, TOKEN], env)
  })

  test('for Java, by openapi-generator', await optionsOf(javaGenerator), async t => {
    const tools = await javaGenerator.install()
    await using site = await openSite(t)
    const jars = (await readdir(tools)).filter(it => it.endsWith('.jar')).map(it => join(tools, it))
    const generator = jars.find(it => it.includes('openapi-generator-cli'))!
    const [sources, classes] = [join(site.folder, 'client'), join(site.folder, 'classes')]
    await mkdir(classes)
    await run('java', [...shortLivedJvm, '-jar', generator, 'generate', '--generator-name', 'java',
      '--library', 'native',
      '--input-spec', site.document, '--output', sources])
    const main = join(sources, 'src', 'main', 'java')
    const files = (await readdir(main, { recursive: true }))
      .filter(it => it.endsWith('.java'))
      .map(it => join(main, it))
    const classPath = [classes, ...jars.filter(it => it !== generator)].join(delimiter)
    await run('javac', [
      ...shortLivedJvm.map(it => `-J${it}`), '-nowarn', '-d', classes, '-cp', classPath, ...files, sourceOf('Use.java')
    ])
    await run('java', [...shortLivedJvm, '-cp', classPath, 'Use', site.url, TOKEN])
  })
})

test('docs/clients.md names the tested versions', async () => {
  const docs = await readFile(new URL('../../docs/clients.md', import.meta.url), 'utf8')
  const [, python] = /^openapi-python-client==(.+)$/m.exec(await readFile(sourceOf('requirements.txt'), 'utf8'))!
  const [, java] = /openapi-generator-cli<\/artifactId>\s*<version>(.+)<\/version>/.exec(await readFile(
    sourceOf('pom.xml'), 'utf8'
  ))!
  assert.ok(docs.includes(`| openapi-python-client | ${python} |`), python)
  assert.ok(docs.includes(`| openapi-generator, Java (\`native\`) | ${java} |`), java)
})
