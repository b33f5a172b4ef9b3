/**
 * Asks the program in this container whether it is ready: exits 0 where /readyz says so, else 1 with the reason. An
 * image without curl has Node.
 */
const WAIT_MAX_MS = 4_000 // less than the timeout of the HEALTHCHECK, so that the reason is written

const port = process.env.API_PORT || process.env.HEALTH_PORT
try {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(WAIT_MAX_MS) })
  console.log(await response.text())
  process.exitCode = response.ok ? 0 : 1
} catch (error) {
  console.log(String((error as Error).cause ?? error))
  process.exitCode = 1
}
