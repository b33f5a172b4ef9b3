/**
 * Text from outside, made safe for a terminal. Escape sequences can clear the screen, change its title, or forge a
 * line. So control characters (C0, DEL and C1), direction marks, zero-width characters and line separators are shown as
 * U+FFFD.
 */
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
const unsafeButLineEnds = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** @returns one line */
export function printable (text: string): string {
  return text.replace(unsafe, '\ufffd')
}

/** As `printable`, but keeps line ends. */
export function printableLines (text: string): string {
  return text.replace(unsafeButLineEnds, '\ufffd')
}

/** As `JSON.stringify`, but safe for a terminal: also escapes what JSON leaves unchanged. */
export function printableJson (value: unknown): string {
  return escapeUnsafe(JSON.stringify(value, (_, it) => typeof it === 'bigint' ? String(it) : it))
}

/** Escapes unsafe characters in a JSON text, except its last line end. */
export function escapeUnsafe (json: string): string {
  return json.replace(unsafeButLineEnds, it => {
    let escaped = ''
    for (let n = 0; n < it.length; n++) escaped += `\\u${it.charCodeAt(n).toString(16).padStart(4, '0')}`
    return escaped
  })
}
