/** Normalises what HTTP lets clients write in several ways. */
import type { IncomingMessage } from 'node:http'

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { RelayError } from 'relay-common'

const NAME_SHOWN_CHARACTERS = 64

/**
 * For `rewriteUrl` of the app: keeps a path with invalid percent-encoding unchanged, so that its route and caller are
 * known before `checkEncoding` refuses it.
 */
export function keepBadEncoding ({ url = '/' }: IncomingMessage): string {
  if (!url.includes('%')) return url
  const queryAt = url.indexOf('?')
  const path = queryAt === -1 ? url : url.slice(0, queryAt)
  const kept = path.split('/').map(it => isEncoded(it) ? it : it.replaceAll('%', '%25')).join('/')
  return queryAt === -1 ? kept : kept + url.slice(queryAt)
}

/** Refuses parameters of query and path that are not percent-encoded UTF-8, and names them. */
export function checkEncoding (app: FastifyInstance): void {
  app.addHook('preValidation', (request, _reply, done) => {
    if (request.originalUrl.includes('%')) refuseBadEncoding(request)
    done()
  })
}

function refuseBadEncoding (request: FastifyRequest): void {
  const url = request.originalUrl
  const queryAt = url.indexOf('?')
  const path = queryAt === -1 ? url : url.slice(0, queryAt)
  const bad = new Set(path.split('/').filter(it => !isEncoded(it)))
  for (const [name, value] of Object.entries(request.params as Record<string, string>)) {
    if (bad.has(value)) throw invalid(name)
  }
  if (queryAt === -1) return
  for (const pair of url.slice(queryAt + 1).split('&')) {
    if (!isEncoded(pair)) throw invalid(nameOf(pair))
  }
}

function isEncoded (text: string): boolean {
  if (!text.includes('%')) return true
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false // the point of the check
  }
}

function nameOf (pair: string): string {
  const name = pair.split('=', 1)[0]
  return (isEncoded(name) ? decodeURIComponent(name) : name).slice(0, NAME_SHOWN_CHARACTERS)
}

function invalid (parameter: string): RelayError {
  return new RelayError('RELAY_PARAMETER_INVALID', `${parameter} is not percent-encoded UTF-8`, { parameter })
}

/**
 * Accept may have media types with parameters, such as `application/json;charset=UTF-8`; ours have none that matter.
 */
export function ignoreMediaTypeParameters (app: FastifyInstance): void {
  app.addHook('onRequest', (request: FastifyRequest, _reply, done) => {
    const { accept } = request.raw.headers
    if (accept?.includes(';')) request.raw.headers.accept = withoutParameters(accept)
    done()
  })
}

/** @returns the header with only the types and their weights */
export function withoutParameters (accept: string): string {
  const types = splitOutsideQuotes(accept, ',').flatMap(range => {
    const [type, ...parameters] = splitOutsideQuotes(range, ';').map(it => it.trim())
    const weight = parameters.find(it => /^q *=/i.test(it))
    return type === '' ? [] : [weight === undefined ? type : `${type};${weight.replaceAll(' ', '')}`]
  })
  return types.join(', ')
}

function splitOutsideQuotes (text: string, separator: string): string[] {
  const parts: string[] = []
  let from = 0
  let isQuoted = false
  for (let at = 0; at < text.length; at++) {
    if (isQuoted && text[at] === '\\') at++
    else if (text[at] === '"') isQuoted = !isQuoted
    else if (!isQuoted && text[at] === separator) {
      parts.push(text.slice(from, at))
      from = at + 1
    }
  }
  parts.push(text.slice(from))
  return parts
}
