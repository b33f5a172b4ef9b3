/**
 * Writes `docs/errors.md`, the problems for clients, from the codes:
 *
 *     npm exec -- node docs/errors.ts
 */
import { writeFileSync } from 'node:fs'

import { errorCodes, type ErrorCode } from 'relay-common'

import { problemType, titles } from '../relay-api/src/problem.ts'

/** The whole page, as Markdown. */
export function renderErrors (): string {
  const rows = (Object.keys(titles) as ErrorCode[]).map(code => {
    const { status, retry } = errorCodes[code]
    const again = retry ? 'yes, after `Retry-After`' : 'no'
    return `| \`${code}\` | ${status} | ${titles[code]} | ${again} | \`${problemType(code)}\` |`
  })
  return `${introduction}\n${rows.join('\n')}\n`
}

const introduction = `# Problems

<!-- Written by docs/errors.ts from the codes themselves: npm exec -- node docs/errors.ts -->

The API reports problems as \`application/problem+json\` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). \`type\`
and \`code\` are stable, \`detail\` is for people, \`parameter\` names the parameter at fault, and \`instance\` is the id
of the request, which is also in the log. A code that is not listed here is an internal error, with status 500.
For operators: [the runbook](runbook.md#codes) says what to do about each code.

| code | status | title | does a retry help? | type |
| --- | --- | --- | --- | --- |`

if (import.meta.main) {
  writeFileSync(new URL('errors.md', import.meta.url), renderErrors())
}
