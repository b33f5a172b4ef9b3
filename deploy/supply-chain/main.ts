/**
 * Checks the dependencies: licences, known vulnerabilities, and the bill of materials, which is written to
 * `build/relay.cdx.json`. Exits with 1 if something is refused, and with AUDIT_REQUIRED also if the audit failed.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { auditDependencies } from './audit.ts'
import { faultsOf, makeBillOfMaterials } from './bill-of-materials.ts'
import { refusedLicences } from './licences.ts'
import { readLockfile } from './lockfile.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const LIST = 'build/relay.cdx.json'

const packages = readLockfile()
const production = packages.filter(it => !it.isDev)

const licences = refusedLicences(packages)
say(`licences of ${packages.length} packages`, licences, 'permissive, all of them')

const list = makeBillOfMaterials(ROOT)
mkdirSync(join(ROOT, 'build'), { recursive: true })
writeFileSync(join(ROOT, LIST), list)
say(LIST, faultsOf(list, packages), `lists all ${production.length} production packages`)

const audit = auditDependencies(ROOT)
if (audit.kind === 'done') {
  say('npm audit', audit.refused, `nothing high or critical; ${audit.tolerated} below that`)
} else {
  console.log(`npm audit: NOT RUN, vulnerabilities unknown: ${audit.why}`)
  if (process.env.AUDIT_REQUIRED) process.exitCode = 1
}

function say (what: string, faults: readonly string[], fine: string): void {
  console.log(`${what}: ${faults.length === 0 ? fine : 'REFUSED'}`)
  for (const fault of faults) console.log(`  ${fault}`)
  if (faults.length > 0) process.exitCode = 1
}
