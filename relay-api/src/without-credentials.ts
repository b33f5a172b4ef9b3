/**
 * Tokens don't belong into an address; one that a client puts there all the same must not stay in a log.
 * @param url as it came, decoded or not
 * @returns the address, without the values of parameters whose names say that they are secret
 */
export function withoutCredentials (url: string): string {
  const start = url.indexOf('?') + 1
  if (start === 0) return url
  const parameters = url.slice(start).split('&').map(it => {
    const end = it.indexOf('=')
    return end >= 0 && SECRET_NAME.test(decoded(it.slice(0, end))) ? `${it.slice(0, end)}=…` : it
  })
  return `${url.slice(0, start)}${parameters.join('&')}`
}

const SECRET_NAME = /token|key|secret|password/i

function decoded (name: string): string {
  if (!name.includes('%')) return name
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}
