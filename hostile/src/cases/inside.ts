/** What somebody finds who is on the machine as another user, or who has taken a program over. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { databaseUserOf, type DatabaseLogin } from 'relay-access'
import { createLogger, databaseSettings, openDatabase, readConfig } from 'relay-common'
import { Type } from 'typebox'

import type { Attack } from '../attack.ts'
import type { Site } from '../site.ts'

/** Files and folders that every user may read. PostgreSQL guards its own, so it is not looked into. */
async function readableByAll (folder: string, depth = 0): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name)
    const { mode } = await stat(path).catch(() => ({ mode: 0 }))
    if ((mode & 0o004) !== 0) found.push(path)
    if (entry.isDirectory() && (mode & 0o001) !== 0 && depth < 2 && entry.name !== 'postgres') {
      found.push(...await readableByAll(path, depth + 1))
    }
  }
  return found
}

/** Tries statements as one of the programs; what works is rolled back. @returns those that worked */
async function whatWorks (site: Site, login: DatabaseLogin, statements: readonly string[]): Promise<string[]> {
  const password = (await readFile(join(site.dataDir, 'passwords', login), 'utf8')).trim()
  const { POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DB } = site.environment
  const config = readConfig(Type.Object(databaseSettings), {
    POSTGRES_HOST,
    POSTGRES_PORT,
    POSTGRES_DB,
    POSTGRES_USER: databaseUserOf(login),
    POSTGRES_PASSWORD: password,
    DATABASE_POOL_MAX: '1'
  })
  const database = await openDatabase(config, 'hostile', createLogger('hostile', 'silent'))
  const worked: string[] = []
  try {
    for (const statement of statements) {
      const back = new Error('back')
      await database.transaction(async client => {
        await client.query(statement)
        worked.push(statement)
        throw back
      }).catch(error => { if (error !== back && (error as { code?: string }).code === undefined) throw error })
    }
  } finally {
    await database.close()
  }
  return worked.map(it => `${databaseUserOf(login)} may: ${it}`)
}

const nothing = async () => {}

export const inside: readonly Attack[] = [
  {
    name: 'inside/data-folder',
    who: 'stranger',
    input: 'another user of the machine reads logs, passwords and data of the local stack',
    holds: 'no file is readable by all',
    run: nothing,
    async verify (site) {
      const found = await readableByAll(site.dataDir)
      return found.length === 0 ? [] : [`readable by all: ${found.slice(0, 6).map(it => it.slice(site.dataDir.length + 1)).join(', ')}${found.length > 6 ? ` and ${found.length - 6} more` : ''}`]
    }
  },
  {
    name: 'inside/processor-drops-rollups',
    who: 'stranger',
    input: 'statements of a processor that was taken over: retention, drops, truncations',
    holds: 'it may not drop what it wrote',
    run: nothing,
    verify: site => whatWorks(site, 'processor', [
      "select set_rollup_retention('minute', interval '1 second')",
      "select set_rollup_retention('day', interval '1 second'), drop_old_rollups('2999-01-01')",
      "select drop_old_rollups('2999-01-01') where (select set_rollup_retention('hour', interval '1 second')) is null",
      'truncate rollups_minute', 'drop table rollups_day', 'drop table series',
      'alter table rollups_hour disable trigger all',
      'select * from api_keys', 'delete from audit_log', "update rollup_levels set retention = interval '1 second'",
      'create table t ()', 'set role relay'
    ])
  },
  {
    name: 'inside/api-writes-rollups',
    who: 'stranger',
    input: 'statements of an API that was taken over: rollups, progress, audit log, partitions',
    holds: 'it may read, and keep keys and answers',
    run: nothing,
    verify: site => whatWorks(site, 'api', [
      'delete from rollups_minute', 'update progress set next_offset = 0',
      'insert into series (zone, device_type) values (\'Vault\', \'X\')', 'select * from audit_log',
      'delete from audit_log', "select drop_old_rollups('2999-01-01')",
      "select set_rollup_retention('minute', interval '1 second')",
      "select ensure_rollup_partitions('minute', '1900-01-01', '1990-01-01')", 'truncate series',
      'set role relay_processor'
    ])
  }
]
