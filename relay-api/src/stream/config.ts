import { Type, type Static } from 'typebox'

const MIB = 1024 * 1024

/** Settings of streams. */
export const streamSettings = {
  STREAM_CLIENTS_MAX: Type.Integer({
    default: 2_000, minimum: 1, description: 'most open streams of live changes'
  }),
  STREAM_BUFFER_MAX_BYTES: Type.Integer({
    default: MIB,
    minimum: 1_024,
    description: 'most bytes buffered for one client of a stream; a slower client is disconnected'
  }),
  STREAM_BUFFERS_MAX_BYTES: Type.Integer({
    default: 128 * MIB,
    minimum: 1_024,
    description: 'most bytes buffered for all stream clients together; above it the clients with the fullest buffers ' +
      'are disconnected'
  }),
  STREAM_HEARTBEAT_MS: Type.Integer({
    default: 15_000, minimum: 100, description: 'longest time without an event on a stream'
  })
}

export type StreamConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof streamSettings>>>>
