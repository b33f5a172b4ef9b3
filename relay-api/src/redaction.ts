/** Tokens don't belong into an address; one that a client puts there all the same must not stay in a log. */

const secretWords = ['token', 'key', 'secret', 'password', 'credential', 'signature', 'authorization', 'jwt']

/**
 * An address without the values of parameters that may be secrets. Linear in its length.
 * @param url path and query, as they came
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
    return name // what can't be read is looked at as it is
  }
}
