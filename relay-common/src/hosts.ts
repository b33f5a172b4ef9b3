import { isIP } from 'node:net'

/**
 * Whether a request's `Host` names us. A page of another site can have its own name resolve to this machine, and ask us as
 * if we were that site (DNS rebinding); the browser then sends that name. An address is no name, and so is not one of these.
 * @param host the header; undefined: an old client, and no browser
 * @param names further ones that we are known by, in small letters
 */
export function isHostOurs (host: string | undefined, names: readonly string[]): boolean {
  if (host === undefined) return true
  const name = host.toLowerCase().replace(/:\d{0,5}$/, '')
  if (isIP(name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name) !== 0) return true
  return name === 'localhost' || name.endsWith('.localhost') || names.includes(name)
}
