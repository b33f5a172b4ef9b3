/** A server with planted weaknesses, which the suite must report. A process of its own. */
import { createServer } from 'node:http'

const BUSY_MS = 300

const server = createServer((request, response) => {
  if (request.url === '/openapi.json') {
    for (const untilMs = performance.now() + BUSY_MS; performance.now() < untilMs;); // computed for each request
  }
  if (request.url?.startsWith('/docs')) process.exit(1) // an unhandled error in a handler
  response.setHeader('content-type', 'application/json')
  response.end('{}')
})
server.on('clientError', () => {}) // the connection stays
server.headersTimeout = server.requestTimeout = 0
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  process.send?.({ port: (server.address() as { port: number }).port })
})
process.on('disconnect', () => process.exit(0))
