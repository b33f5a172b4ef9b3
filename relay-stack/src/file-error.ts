/** What keeps a file or folder from being made or written, in a line for people. */
import { RelayError } from 'relay-common'

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'it is on a read-only file system',
  EACCES: 'no write permission',
  EPERM: 'no write permission',
  ENOTDIR: 'it is a file or inside a file, not a folder',
  EEXIST: 'it is a file, not a folder',
  EISDIR: 'it is a folder, not a file',
  ENAMETOOLONG: 'its name is too long',
  ELOOP: 'its links form a cycle'
}

/** The reason, where it is one that people can mend; undefined: it is something else. */
export function fileReason (error: unknown): string | undefined {
  return reasons[(error as NodeJS.ErrnoException | undefined)?.code ?? '']
}

/**
 * Explains an error of the file system.
 * @param what the folder that it is about, for people: `the data folder /tmp/x`
 * @param option what chooses another
 * @returns RELAY_CONFIG_INVALID in one line; whatever is not explained here, as it is
 */
export function explainFileError (error: unknown, what: string, option: string): unknown {
  const reason = fileReason(error)
  if (error instanceof RelayError || reason === undefined) return error
  const { path } = error as NodeJS.ErrnoException
  const where = path === undefined || what.endsWith(path) ? '' : ` (${path})`
  const remedy = /^the disk/.test(reason) ? `free some space, or use another with ${option}` : `use another with ${option}`
  return new RelayError('RELAY_CONFIG_INVALID', `can't use ${what}: ${reason}${where}; ${remedy}`, { cause: error })
}
