/** A host of a database: the folder of its data, which a drill can destroy, and the server in there. */
import { execFile } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

import { findOwner } from '../../../relay-stack/src/postgres-user.ts'
import { until } from 'relay-test-support/until.ts'
import { killTree, sendSignal } from '../signals.ts'

const run = promisify(execFile)

export const OWNER = 'relay'
export const PASSWORD = 'relay'
const HOST = '127.0.0.1'

export interface PostgresHost {
  readonly port: number
  readonly dataDir: string
  /** variables of the page, for this host */
  readonly variables: NodeJS.ProcessEnv
  /** address for the owner of the database */
  readonly url: string
  /** kill -9 of the server and its children; its data remain */
  kill (): Promise<void>
  /** The same, and all data are gone. */
  destroy (): Promise<void>
  /** Ends the server at once, if it runs. */
  end (): void
}

/** @param shared folders that both hosts have mounted */
export function postgresHost (folder: string, port: number, shared: NodeJS.ProcessEnv): PostgresHost {
  const dataDir = join(folder, 'data')
  const pid = () => {
    const file = join(dataDir, 'postmaster.pid')
    return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n', 1)[0]) : undefined
  }
  const kill = async () => {
    const running = pid()
    if (running === undefined) return
    await killTree(running)
    await until('the server to be gone', () => hasEnded(running))
  }
  return {
    port,
    dataDir,
    url: `postgresql://${OWNER}:${PASSWORD}@${HOST}:${port}/${OWNER}`,
    variables: {
      ...shared,
      PATH: `${findPrograms()}:${process.env.PATH}`,
      PGHOST: HOST,
      PGPORT: String(port),
      PGUSER: OWNER,
      PGPASSWORD: PASSWORD,
      PGDATABASE: OWNER,
      PGDATA: dataDir,
      PGLOG: join(folder, 'postgres.log')
    },
    kill,
    async destroy () {
      await kill()
      await rm(dataDir, { recursive: true, force: true })
    },
    end () {
      const running = pid()
      if (running !== undefined) sendSignal(running, 'SIGQUIT')
    }
  }
}

/** Creates the first data folder of a site with an empty database, and starts its server. */
export async function createDatabase ({ dataDir, variables }: PostgresHost): Promise<void> {
  const owner = await findOwner(() => {})
  const folder = dirname(dataDir)
  await makeFolder(folder)
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, PASSWORD, { mode: 0o644 })
  const call = (program: string, ...args: string[]) => run(program, args, { ...owner, env: variables, cwd: '/' })
  await call('initdb', `--username=${OWNER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256',
    '--encoding=UTF8', '--locale=C.UTF-8')
  const settings = [`listen_addresses = '${HOST}'`, "unix_socket_directories = ''", 'max_connections = 200']
  await writeFile(join(dataDir, 'postgresql.conf'), settings.join('\n') + '\n', { flag: 'a' })
  // without its output: a server keeps the pipes of who started it
  await call('bash', '-c', 'pg_ctl start --wait --log="$PGLOG" > "$PGLOG.start" 2>&1')
  await call('createdb', OWNER)
}

/** A process that nobody has waited for is a zombie. */
async function hasEnded (pid: number): Promise<boolean> {
  const { stdout } = await run('ps', ['-o', 'stat=', '-p', String(pid)]).catch(() => ({ stdout: '' }))
  return stdout.trim() === '' || stdout.startsWith('Z')
}

/** A folder that the user of the server can write to. */
export async function makeFolder (path: string): Promise<string> {
  await mkdir(path, { recursive: true })
  const { uid, gid } = await findOwner(() => {})
  if (uid !== undefined) await chown(path, uid, gid!)
  return path
}

/** Folder of PostgreSQL's programs. The packages of npm have the server alone. @throws if there is none */
export function findPrograms (): string {
  const folders = [...process.env.PATH!.split(':'), ...globSync('/usr/lib/postgresql/*/bin').sort().reverse()]
  const needed = ['initdb', 'pg_basebackup', 'pg_verifybackup', 'psql']
  const found = folders.find(folder => needed.every(name => existsSync(join(folder, name))))
  if (!found) throw new Error('there is no PostgreSQL with pg_basebackup here (Debian: apt-get install postgresql)')
  return found
}
