/** Explains a failure of Maven in one line, because its own output is long and starts with irrelevant text. */

const WORDS_MAX = 300

/**
 * @param said the output of Maven
 * @returns a clause: `it can't reach https://repo.maven.apache.org (Connection refused)`
 */
export function explainMaven (said: string): string {
  const lines = said.replace(/\u001b\[[\d;]*m/g, '').split('\n') // eslint-disable-line no-control-regex -- its colours
    .map(line => line.replace(/^(\[(ERROR|FATAL|WARNING)\] ?)+/, '').replace(/ -> \[Help \d+\].*$/, '').trim())
    .filter(line => line !== '')
  const all = lines.join('\n')
  const transfer = /Could not transfer .*? from\/to \S+ \((\w+:\/\/[^)]+)\): (.*)/.exec(all)
  if (transfer) {
    return `can't reach ${URL.parse(transfer[1])?.origin ?? transfer[1]} (${transfer[2].replace(/^transfer failed for \S+: /, '')})`
  }
  if (/No space left on device/.test(all)) return 'no space left on the disk for the jars'
  return excerpt(lines.find(line => !/^Some problems were encountered/.test(line)) ?? 'it gave no reason')
}

const excerpt = (text: string) => text.length <= WORDS_MAX ? text : `${text.slice(0, WORDS_MAX)}…`
