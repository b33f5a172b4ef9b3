import { randomBytes } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'

import { exportJWK, generateKeyPair, type JWK } from 'jose'

export interface IssuerKeys {
  readonly signing: readonly JWK[]
  readonly cookies: readonly string[]
}

/**
 * Reads the keys in a file; creates new ones if there is none.
 * @param file undefined: nothing is stored
 */
export async function openKeys (file: string | undefined): Promise<IssuerKeys> {
  const kept = file === undefined ? undefined : await readFile(file, 'utf8').catch(ignoreMissing)
  if (kept !== undefined) return JSON.parse(kept) as IssuerKeys

  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const signing = { ...await exportJWK(privateKey), alg: 'RS256', use: 'sig', kid: randomBytes(8).toString('hex') }
  const keys = { signing: [signing], cookies: [randomBytes(32).toString('hex')] }
  if (file !== undefined) {
    await writeFile(`${file}.new`, JSON.stringify(keys), { mode: 0o600 })
    await rename(`${file}.new`, file)
  }
  return keys
}

function ignoreMissing (error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
