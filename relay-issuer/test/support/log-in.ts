import { createHash, randomBytes } from 'node:crypto'

export interface Tokens {
  readonly access_token: string
  readonly refresh_token: string
  readonly scope: string
}

/** Nobody listens there: the code is in the URL that a browser would be sent to. */
const CALLBACK = 'http://127.0.0.1:8765/callback'

/** Logs an account in like a browser: authorization code with PKCE. */
export async function logIn (issuer: string, account: string, scope: string): Promise<Tokens> {
  const verifier = randomBytes(32).toString('base64url')
  const code = await authorize(issuer, account, scope, verifier)
  const response = await askToken(issuer, {
    grant_type: 'authorization_code', client_id: 'relay-web', code, redirect_uri: CALLBACK, code_verifier: verifier
  })
  if (!response.ok) throw new Error(`no tokens: ${response.status} ${await response.text()}`)
  return await response.json() as Tokens
}

/** The first half: the code for the callback of a client. */
export async function authorize (issuer: string, account: string, scope: string, verifier: string): Promise<string> {
  const cookies = new Map<string, string>()
  const go = async (url: string, form?: Record<string, string>) => {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(it => it.join('=')).join('; ') },
      ...(form ? { method: 'POST', body: new URLSearchParams(form) } : {})
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!
      cookies.set(name, value)
    }
    await response.body?.cancel()
    return new URL(response.headers.get('location') ?? '', issuer).href
  }

  const question = new URLSearchParams({
    client_id: 'relay-web',
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256'
  })
  const login = await go(`${issuer}/auth?${question}`)
  const back = await go(login, { prompt: 'login', login: account, password: 'any' })
  const called = new URL(await go(back))
  const code = called.searchParams.get('code')
  if (code === null) throw new Error(`no code, but ${called.href}`)
  return code
}

/** Calls the token endpoint. */
export function askToken (
  issuer: string, form: Record<string, string>, headers: Record<string, string> = {}
): Promise<Response> {
  return fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form), headers })
}

/** Logs a program in: client credentials. */
export async function logInService (issuer: string, scope: string, secret = 'local-secret'): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`relay-service:${secret}`).toString('base64')}`
  return await askToken(issuer, { grant_type: 'client_credentials', scope }, { authorization })
}
