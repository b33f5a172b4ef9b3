/**
 * Errors as problem documents (RFC 9457), the same for every error.
 *
 *     HTTP/1.1 400 Bad Request
 *     content-type: application/problem+json
 *
 *     {"type":"urn:relay:problem:range-invalid","title":"Invalid range","status":400,
 *      "detail":"endTime is not after startTime","instance":"urn:uuid:…","code":"RELAY_RANGE_INVALID",
 *      "parameter":"endTime","error":"endTime is not after startTime"}
 *
 * `instance` is the id of the request, which is also in the log and in `x-request-id`. Internal errors are only in the
 * log. The codes and their statuses are in relay-common, `errors.ts`; this file has their titles.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

import type { FastifyError, FastifyReply, FastifyRequest, FastifySchemaValidationError } from 'fastify'
import { endHard, errorCodes, isConnectionError, mayAnswer, RelayError, type ErrorCode } from 'relay-common'
import { Type } from 'typebox'

import { OpenEnum } from './open-enum.ts'
import { didYouMean } from './parameters/nearest.ts'

export const problemSchema = Type.Object({
  type: Type.String({ description: 'stable URI of the problem type' }),
  title: Type.String(),
  status: Type.Integer({ minimum: 100, maximum: 599 }),
  detail: Type.String({ description: 'what is wrong with this request, and how to fix it' }),
  instance: Type.String({ description: 'id of the request, as in x-request-id' }),
  code: OpenEnum(Object.keys(errorCodes) as ErrorCode[]),
  parameter: Type.Optional(Type.String({ description: 'the parameter at fault, if any' })),
  error: Type.String({ description: 'same as detail' })
}, { title: 'Problem', description: 'RFC 9457; the codes are in docs/errors.md' })

/** What every route may return besides its own. */
const COMMON_STATUSES = [400, 401, 403, 429, 500, 503]

/** Problems of a route, for the `response` of its schema. @param more its own statuses */
export function problemResponses (...more: number[]) {
  const response = (status: number) => ({
    description: STATUS_CODES[status]!, content: { 'application/problem+json': { schema: problemSchema } }
  })
  return Object.fromEntries([...COMMON_STATUSES, ...more].map(it => [it, response(it)]))
}

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly instance: string
  /** stable; see `errorCodes` */
  readonly code: ErrorCode
  /** the parameter at fault, if any */
  readonly parameter?: string
  /** the detail again, for older clients without problem documents */
  readonly error: string
}

/** Errors for clients, with their titles; other codes belong to programs, or are internal. */
export const titles: Partial<Record<ErrorCode, string>> = {
  RELAY_PARAMETER_MISSING: 'Missing parameter',
  RELAY_PARAMETER_INVALID: 'Invalid parameter',
  RELAY_PARAMETER_UNKNOWN: 'Unknown parameter',
  RELAY_CURSOR_INVALID: 'Invalid cursor',
  RELAY_TOO_MANY_POINTS: 'Too many rows',
  RELAY_INTERVAL_TOO_FINE: 'Interval too fine',
  RELAY_RANGE_INVALID: 'Invalid range',
  RELAY_RANGE_TOO_LONG: 'Range too long',
  RELAY_DEVICE_TYPE_UNKNOWN: 'Unknown device type',
  RELAY_UNAUTHORIZED: 'Unauthorized',
  RELAY_FORBIDDEN: 'Forbidden',
  RELAY_RATE_LIMITED: 'Too many requests',
  RELAY_BUDGET_EXCEEDED: 'Budget exceeded',
  RELAY_ISSUER_UNREACHABLE: 'OpenID provider unreachable',
  RELAY_API_KEY_UNKNOWN: 'Unknown API key',
  RELAY_NO_DATA: 'No data',
  RELAY_ROUTE_UNKNOWN: 'Unknown route',
  RELAY_HOST_UNKNOWN: 'Unknown host',
  RELAY_METHOD_NOT_ALLOWED: 'Method not allowed',
  RELAY_REQUEST_INVALID: 'Invalid request',
  RELAY_BODY_TOO_LARGE: 'Body too large',
  RELAY_HEADERS_TOO_LARGE: 'Headers too large',
  RELAY_REQUEST_TOO_SLOW: 'Request too slow',
  RELAY_BODY_TOO_SLOW: 'Body too slow',
  RELAY_MEDIA_TYPE_UNKNOWN: 'Unsupported media type',
  RELAY_EVENTS_REFUSED: 'No event accepted',
  RELAY_IDEMPOTENCY_KEY_REUSED: 'Idempotency-Key reused',
  RELAY_IDEMPOTENCY_KEY_IN_USE: 'Idempotency-Key in use',
  RELAY_INGEST_BUSY: 'Too many pending events',
  RELAY_INGEST_OFF: 'Ingest disabled',
  RELAY_EVENT_LOG_UNREACHABLE: 'Event log unreachable',
  RELAY_STREAM_FULL: 'Too many streams',
  RELAY_DATABASE_UNREACHABLE: 'Database unreachable',
  RELAY_ANSWER_TOO_SLOW: 'Answer too slow',
  RELAY_ANSWERS_BUSY: 'Too many long answers',
  RELAY_CLIENT_GONE: 'Client disconnected'
}
const TITLE_DEFAULT = 'Internal error'

/** Details for clients of internal errors, whose messages may contain hosts or statements. */
const innerDetails: Partial<Record<ErrorCode, string>> = {
  RELAY_DATABASE_UNREACHABLE: 'the database is unreachable or overloaded; try again later',
  RELAY_ISSUER_UNREACHABLE: 'could not read the keys of the OpenID provider; try again later',
  RELAY_EVENT_LOG_UNREACHABLE: 'the event log is unreachable; try again later: events that are sent again count once',
  RELAY_INGEST_BUSY: 'too many events are waiting for the event log; try again later',
  RELAY_INGEST_OFF: 'this API accepts no events; the operator can set EVENT_LOG',
  RELAY_STREAM_FULL: 'the limit of open streams is reached, or this API is shutting down; try again later',
  RELAY_ANSWER_TOO_SLOW: 'the answer took longer than allowed; use a shorter range that starts and ends at whole ' +
    'minutes, select fewer devices, or try again later',
  RELAY_ANSWERS_BUSY: 'the limit of long answers in progress is reached; try again later'
}
const INNER_DETAIL_DEFAULT = 'an internal error occurred; the log of Relay has the cause under the id of this request'

/** Header that names the unavailable part of Relay. */
export const DEGRADED = 'relay-degraded'
const partsAway: Partial<Record<ErrorCode, string>> = {
  RELAY_DATABASE_UNREACHABLE: 'database', RELAY_EVENT_LOG_UNREACHABLE: 'event-log', RELAY_ISSUER_UNREACHABLE: 'issuer'
}

/** Default delay for clients before a retry that may help. */
export const RETRY_AFTER_S = 2

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: query_canceled, here by the statement timeout */
const QUERY_CANCELED = '57014'

/** Sends an error as a problem document, and logs it if it is internal. The error handler of the app. */
export function sendProblem (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const known = toRelayError(error)
  const status = clientStatus(error) ?? known.status
  if (status >= 500) request.log.error({ err: error, code: known.code }, 'request failed')
  const challenge = challengeOf(known.code, request)
  if (challenge !== undefined) reply.header('www-authenticate', challenge)
  const partAway = partsAway[known.code]
  if (partAway !== undefined) reply.header(DEGRADED, partAway)
  if (known.retry && !reply.hasHeader('retry-after')) reply.header('retry-after', known.retryAfterS ?? RETRY_AFTER_S)
  reply.code(status)
    .header('x-request-id', request.id) // a URL that can't be decoded gets here before any hook
    .header('content-type', 'application/problem+json; charset=utf-8')
    .header('cache-control', 'no-store') // whatever the route has set for its answer
    .serializer(JSON.stringify)
    .send(problemOf(known, status, request.id))
}

/** https://www.rfc-editor.org/rfc/rfc6750#section-3 */
function challengeOf (code: ErrorCode, { headers }: FastifyRequest): string | undefined {
  if (code === 'RELAY_FORBIDDEN') return 'Bearer error="insufficient_scope"'
  if (code !== 'RELAY_UNAUTHORIZED') return undefined
  return headers.authorization ? 'Bearer error="invalid_token"' : 'Bearer'
}

/** @param requestId a UUID */
export function problemOf (error: RelayError, status: number, requestId: string): Problem {
  const detail = status < 500 ? error.message : innerDetails[error.code] ?? INNER_DETAIL_DEFAULT
  return {
    type: problemType(error.code),
    title: titles[error.code] ?? TITLE_DEFAULT,
    status,
    detail,
    instance: `urn:uuid:${requestId}`,
    code: error.code,
    ...(error.parameter === undefined ? {} : { parameter: error.parameter }),
    error: detail
  }
}

/** Stable, like the code. */
export function problemType (code: ErrorCode): string {
  return `urn:relay:problem:${code.replace(/^RELAY_/, '').replaceAll('_', '-').toLowerCase()}`
}

function toRelayError (error: FastifyError): RelayError {
  if (error instanceof RelayError) return error
  if (error.validation) return validationError(error)
  if (clientStatus(error) !== undefined) {
    const code = frameworkCodes[error.code] ?? 'RELAY_REQUEST_INVALID'
    return new RelayError(code, frameworkDetails[error.code] ?? error.message, { cause: error })
  }
  if (error.code === QUERY_CANCELED) return new RelayError('RELAY_ANSWER_TOO_SLOW', error.message, { cause: error })
  if (isConnectionError(error)) return new RelayError('RELAY_DATABASE_UNREACHABLE', error.message, { cause: error })
  return new RelayError('RELAY_INTERNAL', error.message, { cause: error })
}

/** Errors of the framework with a code of their own; others are RELAY_REQUEST_INVALID. */
const frameworkCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'RELAY_MEDIA_TYPE_UNKNOWN',
  FST_ERR_CTP_BODY_TOO_LARGE: 'RELAY_BODY_TOO_LARGE'
}

/** Where the message of the framework does not say what to do. */
const frameworkDetails: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'Content-Type must be a media type of this route, such as application/json'
}

/** Status of an error of the framework, such as a URL that can't be decoded. */
function clientStatus (error: FastifyError): number | undefined {
  const isRefusal = !(error instanceof RelayError) && !error.validation && error.code?.startsWith('FST_')
  const status = error.statusCode ?? errorCodes.RELAY_INTERNAL.status
  return isRefusal && status < 500 ? status : undefined
}

/** A violation of the route's schema: the first fault, with the name of the parameter. */
function validationError (error: FastifyError): RelayError {
  const { keyword, instancePath, params, message } = error.validation![0]
  if (error.validationContext === 'body') return bodyError(error.validation![0])
  if (keyword === 'required') {
    const parameter = String(params.missingProperty)
    return new RelayError('RELAY_PARAMETER_MISSING', `${parameter} is required`, { parameter })
  }
  const parameter = instancePath.split('/')[1] ?? ''
  const faults: Record<string, string> = {
    // a parameter that appears once is a string
    type: params.type === 'string' ? 'must be given only once' : `must be one ${String(params.type)}`,
    minLength: 'must not be empty',
    maxLength: `must have at most ${String(params.limit)} characters`,
    maxItems: `must be given at most ${String(params.limit)} times`,
    enum: `must be one of ${String(params.allowedValues)}`,
    pattern: 'contains control characters'
  }
  return new RelayError('RELAY_PARAMETER_INVALID', `${parameter} ${faults[keyword] ?? message}`, { parameter })
}

/** The first fault of a JSON body. It is not converted, so unknown members are faults too. */
function bodyError (fault: FastifySchemaValidationError & { readonly parentSchema?: unknown }): RelayError {
  const { keyword, instancePath, params, message, parentSchema } = fault
  if (keyword === 'additionalProperties') {
    const name = String(params.additionalProperty).slice(0, NAME_SHOWN_CHARACTERS)
    const known = Object.keys((parentSchema as { properties?: object } | undefined)?.properties ?? {})
    const help = didYouMean(name, known) || `; known are ${known.join(', ')}`
    return new RelayError('RELAY_PARAMETER_UNKNOWN', `unknown member ${name} in the body${help}`, { parameter: name })
  }
  const [, parameter, index] = instancePath.split('/')
  if (keyword === 'required') {
    const missing = String(params.missingProperty)
    return new RelayError('RELAY_PARAMETER_MISSING', `${missing} is required`, { parameter: missing })
  }
  if (parameter === undefined) {
    return new RelayError('RELAY_REQUEST_INVALID', `the body must be a JSON ${String(params.type)}`)
  }
  const faults: Record<string, string> = {
    type: `must be of the JSON type ${String(params.type)}`,
    minLength: 'must not be empty',
    maxLength: `must have at most ${String(params.limit)} characters`,
    minItems: 'must not be empty',
    maxItems: `must have at most ${String(params.limit)} items`,
    enum: `must be one of ${String(params.allowedValues)}`,
    pattern: 'contains control characters'
  }
  const where = index === undefined ? parameter : `item ${index} of ${parameter}`
  return new RelayError('RELAY_PARAMETER_INVALID', `${where} ${faults[keyword] ?? message}`, { parameter })
}

const NAME_SHOWN_CHARACTERS = 64

/** Answers bytes that are not HTTP, or come too slowly, and ends the connection. */
export function sendClientProblem (error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !mayAnswer(socket)) {
    socket.destroy()
    return
  }
  const code = clientCodes[error.code ?? ''] ?? 'RELAY_REQUEST_INVALID'
  const { status } = errorCodes[code]
  const why = error.code === 'HPE_INVALID_URL' ? urlDetail : clientDetails[code] ?? 'its bytes are not HTTP'
  const said = new RelayError(code, `could not read the request: ${why}`)
  const requestId = crypto.randomUUID()
  const body = JSON.stringify(problemOf(said, status, requestId))
  endHard(socket, `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/problem+json; charset=utf-8\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\ncache-control: no-store\r\nx-request-id: ${requestId}\r\n` +
    `connection: close\r\n\r\n${body}`)
}

/** https://nodejs.org/api/errors.html */
const clientCodes: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'RELAY_REQUEST_TOO_SLOW',
  HPE_HEADER_OVERFLOW: 'RELAY_HEADERS_TOO_LARGE'
}

/** curl sends URLs as they are typed. */
const urlDetail = 'its URL contains bytes beyond ASCII; percent-encode them as UTF-8, such as %C3%A9 for é'

const clientDetails: Partial<Record<ErrorCode, string>> = {
  RELAY_REQUEST_TOO_SLOW: 'it did not arrive in time', RELAY_HEADERS_TOO_LARGE: 'its headers are too long'
}
