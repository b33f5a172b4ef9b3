/** What anybody may ask: the OpenAPI document, the pages for people, metrics and probes. */
import type { Attack } from '../attack.ts'
import type { Attacker } from '../attacker.ts'

const PER_SECOND = 50

/** Asks for some addresses in turn, by the clock, for as long as the attack goes on. */
async function flood (
  attacker: Attacker, paths: readonly string[], headers: Record<string, string> = {}
): Promise<void> {
  const answers: Promise<unknown>[] = []
  for (let n = 0; !attacker.isOver; n++) {
    answers.push(attacker.ask({ path: paths[n % paths.length], token: '', headers }))
    await attacker.pause(1_000 / PER_SECOND)
  }
  await Promise.all(answers)
}

const paced = `${PER_SECOND} requests a second from one address`

export const openRoutes: readonly Attack[] = [
  { name: 'open-routes/openapi', who: 'stranger', input: `GET /openapi.json, ${paced}`, run: it => flood(it, ['/openapi.json'], { 'accept-encoding': 'br' }) },
  { name: 'open-routes/docs', who: 'stranger', input: `GET /docs and its files, ${paced}`, run: it => flood(it, ['/docs', '/docs/', '/docs/json', '/docs/yaml', '/docs/static/swagger-ui-bundle.js'], { 'accept-encoding': 'gzip, br' }) },
  {
    name: 'open-routes/dashboard',
    who: 'stranger',
    input: `the dashboard, its files and the runbook, ${paced}`,
    async run (attacker) {
      const { status, body } = await attacker.ask({ path: '/', token: '' })
      const files = body.toString().match(/\/assets\/[\w.-]+/g) ?? []
      attacker.expect(status === 200 && files.length > 0, `status ${status} for the dashboard, ${files.length} files`)
      await flood(
        attacker, ['/', '/runbook', '/explore?zone=x', ...files, '/assets/..%2findex.html', '/assets/x.js'],
        { 'accept-encoding': 'br;q=0.1, gzip' }
      )
    }
  },
  { name: 'open-routes/metrics', who: 'stranger', input: `GET /metrics at the port of the API, ${paced}`, run: it => flood(it, ['/metrics'], { 'accept-encoding': 'gzip' }) },
  { name: 'open-routes/probes', who: 'stranger', input: `GET /readyz and /livez, ${paced}`, run: it => flood(it, ['/readyz', '/livez']) },
  { name: 'open-routes/unknown', who: 'stranger', input: `addresses that are none, ${paced}`, run: it => flood(it, ['/index.php', '/.env', '/wp-login.php', '/api/v2/x', `/${'a'.repeat(8_000)}`]) }
]
