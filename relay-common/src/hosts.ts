import { isIP } from 'node:net'

/**
 * Whether the `Host` of a request names us. A page of another site can resolve its own name to this machine and call us
 * as if we were that site (DNS rebinding); the browser then sends that name. An address is not a name, so it is always
 * ours.
 * @param host the header; undefined: an old client, not a browser
 * @param names further names of ours, in lower case
 */
export function isHostOurs (host: string | undefined, names: readonly string[]): boolean {
  if (host === undefined) return true
  const name = host.toLowerCase().replace(/:\d{0,5}$/, '')
  if (isIP(name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name) !== 0) return true
  return name === 'localhost' || name.endsWith('.localhost') || names.includes(name)
}
