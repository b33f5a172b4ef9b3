/** Lines of a body as they arrive: an answer of a million rows is never in memory. */

export async function * linesOf (body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunksOf(body)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop()!
    yield * lines
  }
  rest += decoder.decode()
  if (rest !== '') yield rest
}

/** Not every browser's streams are iterable. If the caller stops, the answer ends. */
export async function * chunksOf<T> (stream: ReadableStream<T>): AsyncGenerator<T> {
  const reader = stream.getReader()
  let isOver = false
  try {
    while (true) {
      const { done, value } = await reader.read()
      isOver = done
      if (done) return
      yield value
    }
  } finally {
    if (!isOver) await reader.cancel().catch(() => {}) // it has failed, and the caller gets the error
    reader.releaseLock()
  }
}
