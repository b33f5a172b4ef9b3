/**
 * The format of an API key:
 *
 *     relay_<environment>_<id>_<secret><checksum>
 *     relay_local_4kQ0zTfWm2Ya_<43 characters><6 characters>
 *
 * Scanners of code and logs find leaked keys by the prefix. The environment prevents that a key of one site is tried at
 * another. The checksum (CRC-32 of everything before it, base 62) distinguishes a typo from a wrong key without the
 * database. Id and secret are random; 43 characters of base 62 are 256 bits.
 */
import { createHash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const ID_CHARACTERS = 12
const SECRET_CHARACTERS = 43
const CHECKSUM_CHARACTERS = 6

/** Allowed names of an environment. */
export const KEY_ENVIRONMENT_PATTERN = '^[a-z0-9]{1,16}$'

const form = new RegExp(
  `^relay_([a-z0-9]{1,16})_([0-9A-Za-z]{${ID_CHARACTERS}})_([0-9A-Za-z]{${SECRET_CHARACTERS}})([0-9A-Za-z]{${CHECKSUM_CHARACTERS}})$`)

export interface ApiKeyParts {
  readonly environment: string
  readonly id: string
  readonly secret: string
}

/** A new id and a new secret. */
export function createApiKeyParts (environment: string): ApiKeyParts {
  return { environment, id: randomText(ID_CHARACTERS), secret: randomText(SECRET_CHARACTERS) }
}

/** The same key with another secret. */
export function withNewSecret ({ environment, id }: Pick<ApiKeyParts, 'environment' | 'id'>): ApiKeyParts {
  return { environment, id, secret: randomText(SECRET_CHARACTERS) }
}

/** The key as shown to its owner. */
export function formatApiKey ({ environment, id, secret }: ApiKeyParts): string {
  const text = `relay_${environment}_${id}_${secret}`
  return text + checksumOf(text)
}

/** @returns undefined if the text is not a key, or has a typo */
export function parseApiKey (text: string): ApiKeyParts | undefined {
  const [, environment, id, secret, checksum] = form.exec(text) ?? []
  if (checksum === undefined || checksumOf(text.slice(0, -CHECKSUM_CHARACTERS)) !== checksum) return undefined
  return { environment, id, secret }
}

/** Whether a credential is meant to be an API key, valid or not. */
export function looksLikeApiKey (text: string): boolean {
  return text.startsWith('relay_')
}

/** What is stored of a secret. It is random and long, so a fast hash is as safe as a slow one. */
export function hashSecret (secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

function randomText (length: number): string {
  return Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
}

function checksumOf (text: string): string {
  let rest = crc32(text)
  let written = ''
  for (let n = 0; n < CHECKSUM_CHARACTERS; n++) {
    written = ALPHABET[rest % ALPHABET.length] + written
    rest = Math.floor(rest / ALPHABET.length)
  }
  return written
}
