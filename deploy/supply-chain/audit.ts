/** Known vulnerabilities of the dependencies that run in production, by `npm audit`. */
import { spawnSync } from 'node:child_process'

export type Audit =
  | { readonly kind: 'done', readonly refused: readonly string[], readonly tolerated: number }
  /** the registry was not asked or did not answer, so nothing is known */
  | { readonly kind: 'not-done', readonly why: string }

interface Vulnerability {
  readonly name: string
  readonly severity: string
  readonly range: string
}

interface NpmAudit {
  readonly auditReportVersion?: number
  readonly vulnerabilities?: Readonly<Record<string, Vulnerability>>
  readonly message?: string
  readonly error?: { readonly summary?: string, readonly detail?: string }
}

const refusedSeverities: ReadonlySet<string> = new Set(['high', 'critical'])

/** @param registry address of the registry; undefined: that of npm's configuration */
export function auditDependencies (root: string, registry?: string): Audit {
  const where = registry === undefined ? [] : [`--registry=${registry}`]
  const args = ['audit', '--omit=dev', '--json', '--fetch-retries=1', ...where]
  const { stdout, error } = spawnSync('npm', args, { cwd: root, encoding: 'utf8', timeout: 120_000 })
  return error ? { kind: 'not-done', why: error.message } : judgeAudit(stdout)
}

/** @param json output of `npm audit --json` */
export function judgeAudit (json: string): Audit {
  let said: NpmAudit | null
  try {
    said = JSON.parse(json)
  } catch {
    return { kind: 'not-done', why: 'npm audit wrote no report' }
  }
  if (said?.auditReportVersion !== 2 || said.vulnerabilities === undefined) {
    const why = said?.message || said?.error?.summary || 'npm audit wrote a report of an unknown format'
    return { kind: 'not-done', why }
  }
  const found = Object.values(said.vulnerabilities)
  const refused = found.filter(it => refusedSeverities.has(it.severity))
  return {
    kind: 'done',
    refused: refused.map(({ name, range, severity }) => `${name} ${range}: ${severity}`),
    tolerated: found.length - refused.length
  }
}
