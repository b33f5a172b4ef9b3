/** PostgreSQL with TLS: a separate server, with generated certificates. */
import assert from 'node:assert/strict'
import { chmod, chown, copyFile, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import getPort from 'get-port'
import { createLogger, databaseSettings, openDatabase, readConfig } from 'relay-common'
import { Type } from 'typebox'

import { startPostgres } from '../../relay-stack/src/postgres.ts'
import { makeCertificates } from 'relay-test-support/certificates.ts'

const log = createLogger('test', 'silent')

test('connections are encrypted, and only a server with a certificate of the authority is accepted', { timeout: 120_000 }, async () => {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-tls-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const own = await makeCertificates(folder, 'own', 'DNS:localhost')
  const foreign = await makeCertificates(folder, 'foreign')
  const settings = {
    dataDir: join(folder, 'data'), logFile: join(folder, 'log'), port: await getPort({ host: '127.0.0.1' })
  }

  const plain = await startPostgres(settings) // creates the folder, whose owner the key must have too
  const owner = await stat(settings.dataDir)
  await plain.close()
  for (const [from, to] of [[own.certFile, 'server.crt'], [own.keyFile, 'server.key']]) {
    const path = join(settings.dataDir, to)
    await copyFile(from, path)
    await chmod(path, 0o600)
    await chown(path, owner.uid, owner.gid)
  }
  const server = opened.adopt(await startPostgres({ ...settings, parameters: ['ssl=on'] }), it => it.close())

  const byAddress = server.url('postgres')
  const url = byAddress.replace('127.0.0.1', 'localhost')
  const open = (environment: Record<string, string>) =>
    openDatabase(readConfig(Type.Object(databaseSettings), { DATABASE_URL: url, ...environment }), 'test', log)

  const encrypted = opened.adopt(
    await open({ DATABASE_TLS: 'true', DATABASE_TLS_CA_FILE: own.caFile }), it => it.close()
  )
  const [{ ssl }] = await encrypted.query<{ ssl: boolean }>('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
  assert.equal(ssl, true)

  await assert.rejects(open({ DATABASE_TLS: 'true', DATABASE_TLS_CA_FILE: foreign.caFile }), /certificate|self.signed/i)
  await assert.rejects(open({ DATABASE_URL: byAddress, DATABASE_TLS: 'true', DATABASE_TLS_CA_FILE: own.caFile }),
    /altnames|127\.0\.0\.1/, 'a certificate that is for another name')
  await assert.rejects(open({ DATABASE_TLS: 'true' }), /certificate|self.signed/i, 'an authority that nobody knows')
  await assert.rejects(
    open({ DATABASE_TLS: 'true', DATABASE_TLS_CA_FILE: join(folder, 'nothing') }), { code: 'RELAY_CONFIG_INVALID' }
  )
})
