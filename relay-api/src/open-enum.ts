/**
 * Words of an answer, where later versions of Relay may have more: a client that was generated before must still read the
 * answer, and generated clients refuse what is not in an `enum`. https://opensource.zalando.com/restful-api-guidelines/#112
 */
import { Type } from 'typebox'

export function OpenEnum<Word extends string> (words: readonly Word[], description?: string) {
  return Type.Unsafe<Word>({ type: 'string', 'x-extensible-enum': [...words], ...description === undefined ? {} : { description } })
}
