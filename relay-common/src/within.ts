/**
 * Waits for work, up to a limit.
 * @throws what the work threw; DOMException TimeoutError after the limit. The work continues then, so whatever it
 *   holds, such as a connection, must be given up
 */
export async function within<T> (limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DOMException(`no answer within ${limitMs} ms`, 'TimeoutError')), limitMs)
  })
  work.catch(() => {}) // handled below, unless the limit was first
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
