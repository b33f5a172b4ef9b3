/** Which name a misspelled one is meant to be. */
import { distance } from 'fastest-levenshtein'

/** Beyond so many letters that differ, or half of them, it is another word and not a misspelled one. */
const MISSPELLED_LETTERS_MAX = 3

/**
 * Names the known name that a given one is nearest to, in any case of letters.
 * @returns for the end of a message; empty where none is near
 */
export function askIfMeant (given: string, known: Iterable<string>): string {
  const lower = given.toLowerCase()
  let nearest: string | undefined
  let lettersMax = Math.min(MISSPELLED_LETTERS_MAX, Math.floor(given.length / 2))
  for (const name of known) {
    const other = name.toLowerCase()
    // so many letters differ at least; the distance itself takes the product of both lengths
    if (Math.abs(other.length - lower.length) > lettersMax) continue
    const letters = distance(lower, other)
    if (letters > lettersMax) continue
    nearest = name
    lettersMax = letters - 1 // of several that are as near, the first
  }
  return nearest === undefined ? '' : `; is ${nearest} meant?`
}
