/** Suggests the known name for a misspelled one. */
import { distance } from 'fastest-levenshtein'

/** A name with more different letters, or more than half of its letters, is another word. */
const MISSPELLED_LETTERS_MAX = 3

/**
 * Finds the known name that is nearest to a given one, ignoring case.
 * @returns the end of a message; empty if none is near
 */
export function didYouMean (given: string, known: Iterable<string>): string {
  const lower = given.toLowerCase()
  let nearest: string | undefined
  let lettersMax = Math.min(MISSPELLED_LETTERS_MAX, Math.floor(given.length / 2))
  for (const name of known) {
    const other = name.toLowerCase()
    // a lower bound of the distance, which costs the product of both lengths
    if (Math.abs(other.length - lower.length) > lettersMax) continue
    const letters = distance(lower, other)
    if (letters > lettersMax) continue
    nearest = name
    lettersMax = letters - 1 // the first of several equally near names
  }
  return nearest === undefined ? '' : `; did you mean ${nearest}?`
}
