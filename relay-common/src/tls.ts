import type { ConnectionOptions } from 'node:tls'

import { readSettingFile } from './config.ts'

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** Options of Node's `tls` for a client or a server. */
export type TlsSettings = Pick<ConnectionOptions, 'rejectUnauthorized' | 'ca' | 'cert' | 'key'>

/**
 * Reads the files of a TLS connection. The other side is always verified: its certificate, and its name in it.
 * @param setting prefix of the settings' names, for messages: `KAFKA_TLS`
 * @throws RelayError RELAY_CONFIG_INVALID, which names the setting and the file
 */
export function readTls (setting: string, { ca, cert, key }: TlsFiles): TlsSettings {
  return {
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca: readSettingFile(`${setting}_CA_FILE`, ca) }),
    ...(cert === undefined ? {} : { cert: readSettingFile(`${setting}_CERT_FILE`, cert) }),
    ...(key === undefined ? {} : { key: readSettingFile(`${setting}_KEY_FILE`, key) })
  }
}
