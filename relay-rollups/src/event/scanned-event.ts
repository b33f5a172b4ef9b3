/** One event in the scanned buffer. Created once; the scanner overwrites it for every event. */
export interface ScannedEvent {
  buffer: Buffer
  /** of `buffer`, to compare several bytes at once */
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
  /** as in DeviceEvent */
  value: number
  /** as in DeviceEvent */
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
    value: NaN, // not 0: these two are doubles from the start, so that writing them never allocates
    timestampMs: NaN
  }
}

/** Sets the buffer to scan. */
export function setBuffer (out: ScannedEvent, buffer: Buffer): void {
  if (buffer === out.buffer) return
  out.buffer = buffer
  out.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
