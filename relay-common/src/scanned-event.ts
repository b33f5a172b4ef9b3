/** One event in the buffer that was scanned. Made once and used for every event: the scanner overwrites it. */
export interface ScannedEvent {
  buffer: Buffer
  /** of `buffer`: several bytes are compared at once */
  view: DataView
  deviceIdStart: number
  deviceIdEnd: number
  deviceTypeStart: number
  deviceTypeEnd: number
  zoneStart: number
  zoneEnd: number
  valueStart: number
  valueEnd: number
  timestampStart: number
  timestampEnd: number
  /** as DeviceEvent has it */
  value: number
  /** as DeviceEvent has it */
  timestampMs: number
}

export function createScannedEvent (): ScannedEvent {
  return {
    buffer: Buffer.alloc(0),
    view: new DataView(new ArrayBuffer(0)),
    deviceIdStart: 0,
    deviceIdEnd: 0,
    deviceTypeStart: 0,
    deviceTypeEnd: 0,
    zoneStart: 0,
    zoneEnd: 0,
    valueStart: 0,
    valueEnd: 0,
    timestampStart: 0,
    timestampEnd: 0,
    value: NaN, // not 0: these two are doubles from the start, so that writing them allocates nothing
    timestampMs: NaN
  }
}

/** Sets the buffer that is scanned. */
export function setBuffer (out: ScannedEvent, buffer: Buffer): void {
  if (buffer === out.buffer) return
  out.buffer = buffer
  out.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
