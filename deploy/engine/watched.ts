/** The profile `monitoring` on a real engine. */
import assert from 'node:assert/strict'

import { until } from 'relay-test-support/until.ts'
import type { Site } from './site.ts'

interface Target { readonly health: string, readonly scrapeUrl: string, readonly lastError: string }

/** Starts it beside a site. Prometheus must reach every part and have its rules, and the probe must succeed. */
export async function assertWatched (site: Site, targets: number): Promise<void> {
  await site.paste('docker compose --profile monitoring up -d')
  await site.untilWell()
  const asked = async (path: string) => {
    const command = ['wget', '-q', '-O', '-', `http://127.0.0.1:9090${path}`]
    return JSON.parse(await site.compose('exec', '-T', 'prometheus', ...command)).data
  }
  let seen: readonly Target[] = []
  const down = () => seen.filter(it => it.health !== 'up').map(it => `${it.scrapeUrl}: ${it.lastError}`)
  await until(() => `${targets} targets to be up, of ${seen.length} these are not: ${down().join(', ')}`, async () => {
    seen = (await asked('/api/v1/targets?state=active')).activeTargets
    return seen.length >= targets && down().length === 0
  }, 120_000)
  assert.ok((await asked('/api/v1/rules')).groups.length > 0)
  await until('the probe to be content', async () => {
    const { result } = await asked('/api/v1/query?query=relay_probe_rounds_total%7Bresult%3D%22ok%22%7D')
    return Number(result[0]?.value[1]) > 0
  })
}
