/** Explains errors of files and folders in one line for people. */
import { RelayError } from 'relay-common'

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'it is on a read-only file system',
  EACCES: 'no permission',
  EPERM: 'no permission',
  ENOTDIR: 'it is a file or inside a file, not a folder',
  EEXIST: 'it is a file, not a folder',
  EISDIR: 'it is a folder, not a file',
  ENAMETOOLONG: 'its name is too long',
  ELOOP: 'its links form a cycle'
}

/** The reason, if people can fix it; undefined: another error. */
export function fileReason (error: unknown): string | undefined {
  return reasons[(error as NodeJS.ErrnoException | undefined)?.code ?? '']
}

/**
 * Explains an error of the file system.
 * @param what the folder, for people: `the data folder /tmp/x`
 * @param option that chooses another one
 * @returns RELAY_CONFIG_INVALID in one line; other errors unchanged
 */
export function explainFileError (error: unknown, what: string, option: string): unknown {
  const reason = fileReason(error)
  if (error instanceof RelayError || reason === undefined) return error
  const { path } = error as NodeJS.ErrnoException
  const where = path === undefined || what.endsWith(path) ? '' : ` (${path})`
  const remedy = /^the disk/.test(reason)
    ? `free some space, or use another with ${option}`
    : `use another with ${option}`
  return new RelayError('RELAY_CONFIG_INVALID', `can't use ${what}: ${reason}${where}; ${remedy}`, { cause: error })
}
