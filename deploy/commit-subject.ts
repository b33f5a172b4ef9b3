/**
 * Checks subjects of commits: at most 72 characters, an imperative with a capital letter, no full stop.
 *
 *     node deploy/commit-subject.ts --file <message>        as the hook .githooks/commit-msg does
 *     node deploy/commit-subject.ts <from>..<to>            all commits of a range, as CI does
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export const SUBJECT_MAX = 72
/** Subjects that git writes itself. */
const WRITTEN_BY_GIT = /^(Merge|Revert|fixup!|squash!|amend!) /
/** First words in another form: "Added", "Adding", "Adds", "The". */
const NOT_IMPERATIVE = /^(\w+(?:[^e]ed|ing)|[A-Z][a-z]*[^s']s|An?|The|This|It|No|Some|All)$/
/** Imperatives that look like another form. */
const imperatives = new Set(['Bring', 'String', 'Focus', 'Alias', 'Canvas', 'Embed', 'Shed', 'Wed', 'Bias'])

/** What is wrong with the first line of a commit message; undefined: nothing. */
export function faultOf (subject: string): string | undefined {
  if (WRITTEN_BY_GIT.test(subject)) return undefined
  if (subject.length > SUBJECT_MAX) return `${subject.length} characters; at most ${SUBJECT_MAX} are allowed`
  if (subject.endsWith('.')) return 'ends with a full stop'
  const [first] = subject.split(' ')
  if (!/^[A-Z]/.test(first)) return 'must start with a capital letter'
  if (!imperatives.has(first) && NOT_IMPERATIVE.test(first)) {
    return `must start with an imperative, such as "Add", not "${first}"`
  }
  return undefined
}

function main ([option, file]: readonly string[]): number {
  const subjects = option === '--file' ? [readFileSync(file, 'utf8').split('\n', 1)[0]] : subjectsOf(option)
  let isRefused = false
  for (const subject of subjects) {
    const fault = faultOf(subject)
    if (fault === undefined) continue
    isRefused = true
    console.error(`commit subject "${subject}": ${fault}`)
  }
  return isRefused ? 1 : 0
}

function subjectsOf (range: string): string[] {
  const { status, stdout, stderr } = spawnSync('git', ['log', '--format=%s', range], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr.trim())
  return stdout.split('\n').filter(it => it !== '')
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2))
