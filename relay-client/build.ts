/**
 * `npm pack` and `npm publish` run this: `src/*.ts` become JavaScript and declarations in `dist/`, for programs that
 * take no TypeScript.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const folder = new URL('.', import.meta.url)
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')

rmSync(new URL('dist', folder), { recursive: true, force: true })
execFileSync(
  process.execPath, [tsc, '--project', fileURLToPath(new URL('tsconfig.build.json', folder))],
  { stdio: ['ignore', 'inherit', 'inherit'] }
)
copyFileSync(new URL('../LICENSE', folder), new URL('LICENSE', folder))
