/**
 * Values of an answer that later versions of Relay may extend. Clients generated earlier must still read the answer,
 * and reject values outside of an `enum`. https://opensource.zalando.com/restful-api-guidelines/#112
 */
import { Type } from 'typebox'

export function OpenEnum<Word extends string> (words: readonly Word[], description?: string) {
  return Type.Unsafe<Word>({
    type: 'string', 'x-extensible-enum': [...words], ...description === undefined ? {} : { description }
  })
}
