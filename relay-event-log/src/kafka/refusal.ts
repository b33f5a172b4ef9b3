/**
 * Reasons why a broker refuses us, or we do not trust it, which a retry does not change. They only apply to the first
 * answers: later, a password or certificate that is being changed must not end a working program.
 */
/** codes of the protocol (https://kafka.apache.org/protocol#protocol_error_codes) */
const UNSUPPORTED_SASL_MECHANISM = 33
const ILLEGAL_SASL_STATE = 34 // no login is configured here
const SASL_AUTHENTICATION_FAILED = 58

interface Link {
  readonly code?: unknown
  /** error code of the protocol */
  readonly apiCode?: number
  readonly message?: string
  readonly cause?: unknown
  readonly errors?: unknown[]
}

/** OpenSSL's errors of a certificate (https://nodejs.org/api/tls.html#x509-certificate-error-codes) */
const UNTRUSTED =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERROR_IN_CERT_|CRL_|HOSTNAME_MISMATCH|INVALID_|PATH_LENGTH_)/
/** alerts by which the other side ends a handshake */
const ALERT = /^ERR_SSL_.*_ALERT_/

/**
 * @returns what is wrong, and which setting would help; undefined if no refusal is recognisable. It contains no
 *   setting's value, so no password
 */
export function refusalOf (error: unknown): string | undefined {
  for (const { code, apiCode, message } of links(error)) {
    const name = String(code)
    if (name === 'ERR_TLS_CERT_ALTNAME_INVALID') {
      return `its certificate does not match the host name (${message}); use a matching name in ` +
        'KAFKA_BOOTSTRAP_SERVERS and in advertised.listeners of the brokers'
    }
    if (message === 'Broker requires TLS.') return 'it requires TLS; set KAFKA_TLS'
    if (UNTRUSTED.test(name)) {
      return `its certificate is not trusted (${message}); check that KAFKA_TLS_CA_FILE has the CA that signed it`
    }
    if (ALERT.test(name)) {
      return `it refused the TLS handshake (${message}); check whether it requires a client certificate, and KAFKA_TLS_CERT_FILE`
    }
    if (apiCode === UNSUPPORTED_SASL_MECHANISM || apiCode === ILLEGAL_SASL_STATE) {
      return 'it does not support the mechanism of KAFKA_SASL_MECHANISM'
    }
    if (apiCode === SASL_AUTHENTICATION_FAILED) {
      return 'it refused the login; check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM'
    }
  }
  return undefined
}

/** An error and all its causes. */
function * links (error: unknown): Generator<Link> {
  if (typeof error !== 'object' || error === null) return
  const link: Link = error
  yield link
  yield * links(link.cause)
  for (const one of link.errors ?? []) yield * links(one)
}
