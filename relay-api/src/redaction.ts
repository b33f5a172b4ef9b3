/** Tokens do not belong in a URL; one that a client puts there anyway must not stay in a log. */

const secretWords = ['token', 'key', 'secret', 'password', 'credential', 'signature', 'authorization', 'jwt']

/**
 * A URL without the values of parameters that may be secret. Linear in its length.
 * @param url path and query, as sent
 */
export function withoutCredentials (url: string): string {
  const queryAt = url.indexOf('?')
  if (queryAt === -1) return url
  const pairs = url.slice(queryAt + 1).split('&').map(pair => {
    const valueAt = pair.indexOf('=') + 1
    if (valueAt === 0) return pair
    const name = decoded(pair.slice(0, valueAt - 1)).toLowerCase()
    return secretWords.some(it => name.includes(it)) ? `${pair.slice(0, valueAt)}…` : pair
  })
  return `${url.slice(0, queryAt)}?${pairs.join('&')}`
}

function decoded (name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name // an undecodable name is used unchanged
  }
}
