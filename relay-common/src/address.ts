import { isIPv6 } from 'node:net'

const GROUPS = 8
/** The 64-bit prefix that one household or site has. */
const SITE_GROUPS = 4

/**
 * The address that limits count by: IPv4 unchanged, also if written as IPv6 (`::ffff:192.0.2.1`); the first 64 bits of
 * IPv6.
 * @param address as returned by sockets
 */
export function normaliseAddress (address: string): string {
  if (!isIPv6(address)) return address
  const mapped = address.toLowerCase().startsWith('::ffff:') ? address.slice('::ffff:'.length) : ''
  if (mapped.includes('.')) return mapped
  const [head, tail] = address.split('%', 1)[0].split('::')
  const groups = (text: string) => text === '' ? [] : text.split(':')
  const first = groups(head)
  if (tail !== undefined) {
    first.push(...Array<string>(Math.max(0, GROUPS - first.length - groups(tail).length)).fill('0'), ...groups(tail))
  }
  return `${first.slice(0, SITE_GROUPS).map(it => Number.parseInt(it, 16).toString(16)).join(':')}::/64`
}

/** Whether an address is this machine's own. */
export function isLoopback (address: string): boolean {
  return address === '::1' || normaliseAddress(address).startsWith('127.')
}
