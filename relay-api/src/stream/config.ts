import { Type, type Static } from 'typebox'

const MIB = 1024 * 1024

/** How the API shows rollups live. */
export const streamSettings = {
  STREAM_CLIENTS_MAX: Type.Integer({
    default: 2_000, minimum: 1, description: 'most streams of live changes that may be open at once'
  }),
  STREAM_BUFFER_MAX_BYTES: Type.Integer({
    default: MIB, minimum: 1_024, description: 'what may wait for one client of a stream; a slower one is dropped'
  }),
  STREAM_BUFFERS_MAX_BYTES: Type.Integer({
    default: 128 * MIB,
    minimum: 1_024,
    description: 'what may wait for all clients of streams together; past it those are dropped that most waits for'
  }),
  STREAM_HEARTBEAT_MS: Type.Integer({
    default: 15_000, minimum: 100, description: 'longest silence of a stream'
  })
}

export type StreamConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof streamSettings>>>>
