/**
 * Start of all npm scripts: checks whether Relay can run here, and runs it. It is plain JavaScript, so that any Node
 * from 18 on reports an incomplete install in one line in place of a stack trace.
 *
 *     node run.js [file of TypeScript [its arguments]]
 *     node run.js    only checks, also for what tests need
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import * as module from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import * as util from 'node:util'

const NODE_MIN = 24
/** Programs that read `.env`; tests and benchmarks must not depend on it. */
const STACK = 'relay-stack/'
const CLI = 'relay-cli/'
const FOLDERS = ['RELAY_DATA_DIR', 'RELAY_KAFKA_CACHE']
/** The command line needs these of the local stack. */
const OF_STACK = ['RELAY_DATA_DIR', 'API_TOKENS']
/** If `.env` has one of them, the command line uses those servers in place of the local stack. */
const SERVERS = ['DATABASE_URL', 'DATABASE_URL_FILE', 'POSTGRES_HOST', 'KAFKA_BOOTSTRAP_SERVERS']

const [file, ...args] = process.argv.slice(2)
const pathOf = name => fileURLToPath(new URL(name, import.meta.url))

if (!existsSync(pathOf('node_modules/relay-common'))) end('Relay is not installed yet: run `npm ci` first')
if (Number(process.versions.node.split('.')[0]) < NODE_MIN) {
  end(`Relay needs Node ${NODE_MIN}, this is ${process.version}. \`npm ci\` installs the right one, but not with ` +
    '--omit=optional or on a platform without a build: install Node ' + NODE_MIN + ' there')
}
if (file) await run()
else checkAll()

async function run () {
  keepCompiled()
  process.argv = [process.argv[0], pathOf(file), ...args]
  if (file.startsWith(STACK)) readEnvFile(() => true)
  if (file === `${STACK}src/main.ts`) refuseReadOnly()
  if (file.startsWith(CLI)) readEnvFile((name, all) => OF_STACK.includes(name) || SERVERS.some(it => all[it]))
  try {
    await import(pathToFileURL(pathOf(file)).href)
  } catch (error) {
    const [, name] = error.code === 'ERR_MODULE_NOT_FOUND' ? /Cannot find package '([^']+)'/.exec(error.message) ?? [] : []
    if (!name) throw error
    endWithout(name)
  }
}

/** Loading the programs from a read-only clone takes seconds, because no compiled code can be kept there. */
function refuseReadOnly () {
  if (process.env.RELAY_DATA_DIR || args.some(it => /^(--(data-dir|help|version)\b|-[hV]$)/.test(it))) return
  const folder = pathOf('.relay')
  try {
    accessSync(existsSync(folder) ? folder : pathOf('.'), constants.W_OK)
  } catch (error) {
    if (error.code !== 'EROFS') return // the stack reports it
    end(`can't use the data folder ${folder}: it is on a read-only file system; use another with --data-dir`)
  }
}

/** Tests also need the packages that `npm ci --omit=dev` leaves out. */
function checkAll () {
  const { devDependencies = {} } = JSON.parse(readFileSync(pathOf('package.json'), 'utf8'))
  const missing = Object.keys(devDependencies).find(name => !existsSync(pathOf(`node_modules/${name}`)))
  if (missing) endWithout(missing)
}

function endWithout (name) {
  end(`the package ${name} is missing: run \`npm ci\` again, without --omit=dev`)
}

/**
 * Stores compiled code for the next start, here and in child programs: that halves the CPU, and no process keeps the
 * type stripper in memory. It is not in the system's temporary folder, because others may write there. An unwritable
 * folder does no harm.
 */
function keepCompiled () {
  const { XDG_CACHE_HOME, HOME, NODE_COMPILE_CACHE } = process.env
  const folder = XDG_CACHE_HOME || (HOME && join(HOME, '.cache'))
  if (!NODE_COMPILE_CACHE && folder) process.env.NODE_COMPILE_CACHE = join(folder, 'relay')
  if (process.env.NODE_COMPILE_CACHE) module.enableCompileCache()
}

/** Reads settings from `.env` beside package.json, the base of its folders. The environment takes precedence. */
function readEnvFile (isWanted) {
  const path = pathOf('.env')
  if (!existsSync(path)) return
  const all = util.parseEnv(readFileSync(path, 'utf8'))
  for (const [name, value] of Object.entries(all)) {
    if (isWanted(name, all)) process.env[name] ??= value && FOLDERS.includes(name) ? resolve(pathOf('.'), value) : value
  }
}

function end (message) {
  console.error(message)
  process.exit(1)
}
