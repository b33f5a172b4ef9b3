/**
 * The event, as devices send it: a JSON object in UTF-8.
 *
 *     {"deviceId":"thermostat-001","deviceType":"THERMOSTAT","zone":"Zone A","value":22.5,"timestamp":"2024-01-01T00:00:00Z"}
 */
export interface DeviceEvent {
  readonly deviceId: string
  readonly deviceType: string
  readonly zone: string
  /** finite, in the device's own unit; never -0 */
  readonly value: number
  /** ms since the epoch, UTC; finer digits are cut off */
  readonly timestampMs: number
}
