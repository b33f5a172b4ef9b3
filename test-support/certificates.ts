import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Certificates {
  /** PEM files */
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

/**
 * Creates a certificate authority and a certificate for this machine signed by it, with `openssl`.
 * @param folder for the files
 * @param name prefix of their names
 * @param hosts of the certificate, in OpenSSL's format
 */
export async function makeCertificates (
  folder: string, name: string, hosts = 'IP:127.0.0.1,DNS:localhost'
): Promise<Certificates> {
  const file = (what: string) => join(folder, `${name}-${what}`)
  const [caFile, caKeyFile, certFile, keyFile, requestFile, extensionsFile] =
    ['ca.pem', 'ca.key', 'cert.pem', 'cert.key', 'request.pem', 'extensions'].map(file)
  const subject = (of: string) => ['-subj', `/O=${name}/CN=${of}`]
  await run('openssl', [
    'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject('authority'), '-keyout', caKeyFile,
    '-out', caFile
  ])
  await run(
    'openssl', ['req', '-newkey', 'rsa:2048', '-nodes', ...subject('server'), '-keyout', keyFile, '-out', requestFile]
  )
  await writeFile(extensionsFile, `subjectAltName=${hosts}`)
  await run('openssl', ['x509', '-req', '-in', requestFile, '-CA', caFile, '-CAkey', caKeyFile, '-CAcreateserial',
    '-days', '2', '-extfile', extensionsFile, '-out', certFile])
  return { caFile, certFile, keyFile }
}

/** A PEM file as one line of a Java properties file. */
export async function asProperty (path: string): Promise<string> {
  return (await readFile(path, 'utf8')).trim().replaceAll('\n', '\\n')
}
