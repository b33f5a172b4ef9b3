/**
 * What each code means to an HTTP client (`status`) and to a retry (`retry`). Codes are stable: logs, metrics, answers
 * and runbooks use them.
 */
export const errorCodes = {
  RELAY_CONFIG_INVALID: { status: 500, retry: false },
  RELAY_DATABASE_UNREACHABLE: { status: 503, retry: true },
  RELAY_DATABASE_POOLED: { status: 500, retry: false },
  RELAY_STATEMENT_TIMEOUT: { status: 500, retry: true },
  RELAY_MIGRATION_FAILED: { status: 500, retry: false },
  RELAY_EVENT_LOG_UNREACHABLE: { status: 503, retry: true },
  RELAY_EVENT_LOG_REFUSED: { status: 500, retry: false },
  RELAY_RECORD_TOO_LARGE: { status: 413, retry: false },
  RELAY_EVENT_LOG_UNSUPPORTED: { status: 500, retry: false },
  RELAY_GROUP_FOREIGN: { status: 500, retry: false },
  RELAY_GROUP_REFUSED: { status: 500, retry: false },
  RELAY_TOPIC_MISSING: { status: 500, retry: false },
  RELAY_OFFSET_GAP: { status: 500, retry: false },
  RELAY_FLUSH_UNFINISHED: { status: 500, retry: false },
  RELAY_REPLAY_REFUSED: { status: 500, retry: false },
  RELAY_DEPLOY_REFUSED: { status: 500, retry: false },
  RELAY_PARTITION_FENCED: { status: 500, retry: false },
  RELAY_ROLLUP_CORRUPT: { status: 500, retry: false },
  RELAY_PORT_IN_USE: { status: 500, retry: false },
  RELAY_DATA_DIR_IN_USE: { status: 500, retry: false },
  RELAY_PROGRAM_FAILED: { status: 500, retry: false },
  RELAY_PARAMETER_MISSING: { status: 400, retry: false },
  RELAY_PARAMETER_INVALID: { status: 400, retry: false },
  RELAY_PARAMETER_UNKNOWN: { status: 400, retry: false },
  RELAY_CURSOR_INVALID: { status: 400, retry: false },
  RELAY_TOO_MANY_POINTS: { status: 400, retry: false },
  RELAY_INTERVAL_TOO_FINE: { status: 400, retry: false },
  RELAY_RANGE_INVALID: { status: 400, retry: false },
  RELAY_RANGE_TOO_LONG: { status: 400, retry: false },
  RELAY_DEVICE_TYPE_UNKNOWN: { status: 400, retry: false },
  RELAY_UNAUTHORIZED: { status: 401, retry: false },
  RELAY_FORBIDDEN: { status: 403, retry: false },
  RELAY_RATE_LIMITED: { status: 429, retry: true },
  RELAY_BUDGET_EXCEEDED: { status: 429, retry: true },
  RELAY_ISSUER_UNREACHABLE: { status: 503, retry: true },
  RELAY_API_KEY_UNKNOWN: { status: 404, retry: false },
  RELAY_NO_DATA: { status: 404, retry: false },
  RELAY_ROUTE_UNKNOWN: { status: 404, retry: false },
  RELAY_HOST_UNKNOWN: { status: 421, retry: false },
  RELAY_METHOD_NOT_ALLOWED: { status: 405, retry: false },
  RELAY_REQUEST_INVALID: { status: 400, retry: false },
  RELAY_REQUEST_TOO_SLOW: { status: 408, retry: true },
  RELAY_HEADERS_TOO_LARGE: { status: 431, retry: false },
  RELAY_BODY_TOO_LARGE: { status: 413, retry: false },
  RELAY_BODY_TOO_SLOW: { status: 408, retry: true },
  RELAY_MEDIA_TYPE_UNKNOWN: { status: 415, retry: false },
  RELAY_EVENTS_REFUSED: { status: 422, retry: false },
  RELAY_IDEMPOTENCY_KEY_REUSED: { status: 422, retry: false },
  RELAY_IDEMPOTENCY_KEY_IN_USE: { status: 409, retry: true },
  RELAY_INGEST_BUSY: { status: 503, retry: true },
  RELAY_INGEST_OFF: { status: 503, retry: false },
  RELAY_STREAM_FULL: { status: 503, retry: true },
  RELAY_ANSWER_TOO_SLOW: { status: 503, retry: true },
  RELAY_ANSWERS_BUSY: { status: 503, retry: true },
  RELAY_CLIENT_GONE: { status: 499, retry: true },
  RELAY_INTERNAL: { status: 500, retry: false }
} as const

export type ErrorCode = keyof typeof errorCodes

/** An expected error: a stable code, and a message that says what, where and what to do. */
export class RelayError extends Error {
  readonly code: ErrorCode
  /** the parameter of the request at fault, if any */
  readonly parameter: string | undefined
  /** seconds after which a retry may help, if known */
  readonly retryAfterS: number | undefined

  constructor (
    code: ErrorCode, message: string,
    options?: ErrorOptions & { readonly parameter?: string, readonly retryAfterS?: number }
  ) {
    super(message, options)
    this.name = 'RelayError'
    this.code = code
    this.parameter = options?.parameter
    this.retryAfterS = options?.retryAfterS
  }

  get status (): number { return errorCodes[this.code].status }
  get retry (): boolean { return errorCodes[this.code].retry }
}
