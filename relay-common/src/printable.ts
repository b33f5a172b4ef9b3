/**
 * What came from outside, as a terminal may show it. Terminals obey escape sequences: these can clear the screen, change its
 * title, or write what looks like another line. Control characters (C0, DEL and C1), what turns the direction of text, what
 * has no width, and line separators are shown as U+FFFD.
 */
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
const unsafeButLineEnds = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** @returns one line */
export function printable (text: string): string {
  return text.replace(unsafe, '\ufffd')
}

/** As `printable`, with its line ends. */
export function printableLines (text: string): string {
  return text.replace(unsafeButLineEnds, '\ufffd')
}

/** As `JSON.stringify`, and a terminal may show it: what JSON leaves as it is, is escaped too. */
export function printableJson (value: unknown): string {
  return escapeUnsafe(JSON.stringify(value, (_, it) => typeof it === 'bigint' ? String(it) : it))
}

/** Escapes what a terminal must not see in a text that is JSON, but for its last line end. */
export function escapeUnsafe (json: string): string {
  return json.replace(unsafeButLineEnds, it => {
    let escaped = ''
    for (let n = 0; n < it.length; n++) escaped += `\\u${it.charCodeAt(n).toString(16).padStart(4, '0')}`
    return escaped
  })
}
