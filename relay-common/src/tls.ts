import type { ConnectionOptions } from 'node:tls'

import { readSettingFile } from './config.ts'

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** As Node's `tls` takes them, of a client or of a server. */
export type TlsSettings = Pick<ConnectionOptions, 'rejectUnauthorized' | 'ca' | 'cert' | 'key'>

/**
 * Reads what a TLS connection needs. The other side is always checked: its certificate, and that it is for its name.
 * @param setting begins the names of the settings, for messages: `KAFKA_TLS`
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
