/**
 * Client generators, installed once on this machine:
 *
 *     requirements.txt --pip-->    .relay/generators/<hash of it>/
 *     pom.xml          --Maven-->  .relay/generators/<hash of it>/
 *
 * Run by itself, this fetches both: `npm exec -- node …/generators.ts`.
 */
import { installList, isFine, pipInstall, run } from 'relay-test-support/install-once.ts'

export interface Generator {
  readonly name: string
  /** @returns what is missing on this machine; undefined: nothing */
  findMissing (): Promise<string | undefined>
  /** @returns the folder with the generator and the dependencies of its clients */
  install (): Promise<string>
}

const PYTHON_CHECK = 'import pip, sys; sys.exit(sys.version_info < (3, 11))'

export const pythonGenerator: Generator = {
  name: 'openapi-python-client',
  findMissing: async () => await isFine('python3', ['-c', PYTHON_CHECK]) ? undefined : 'Python 3.11 or newer, and pip',
  install: () => fill('requirements.txt', (list, folder) => pipInstall(['--requirement', list], folder))
}

export const javaGenerator: Generator = {
  name: 'openapi-generator',
  findMissing: async () => await isFine('javac', ['--release', '17', '--version']) && await isFine('mvn', ['--version'])
    ? undefined
    : 'a JDK 17 or newer, and Maven',
  install: () => fill('pom.xml', async (pom, folder) => {
    await run(
      'mvn', ['--batch-mode', '--quiet', '--file', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`]
    )
  })
}

function fill (list: string, install: (list: string, folder: string) => Promise<void>): Promise<string> {
  return installList('generators', new URL(list, import.meta.url), install)
}

if (import.meta.main) await Promise.all([pythonGenerator, javaGenerator].map(it => it.install()))
