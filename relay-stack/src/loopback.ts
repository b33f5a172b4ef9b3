/** Checks the loopback interface: in a new network namespace it is down at first. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'

import { RelayError } from 'relay-common'

import { LOCAL_HOST } from './ports.ts'

/**
 * @throws RelayError RELAY_CONFIG_INVALID if it is down: later errors would only say that PostgreSQL does not answer
 */
export async function checkLoopback (): Promise<void> {
  const server = createServer(socket => socket.destroy()).listen(0, LOCAL_HOST)
  try {
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port, LOCAL_HOST)
    await once(socket, 'connect')
    socket.destroy()
  } catch (cause) {
    throw new RelayError('RELAY_CONFIG_INVALID', `can't connect to ${LOCAL_HOST}, where all parts of the ` +
      `stack listen (${(cause as NodeJS.ErrnoException).code}); the loopback interface may be down: ip link set lo up`, { cause })
  } finally {
    server.close()
  }
}
