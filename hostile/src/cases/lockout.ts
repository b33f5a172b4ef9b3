/** A stranger who shares the honest client's address, as all behind one router do, fails to log in. */
import type { Attack } from '../attack.ts'
import type { Attacker } from '../attacker.ts'

/** the honest client's */
const from = '127.0.0.1'

interface Shape {
  readonly input: string
  readonly count: number
  readonly restMs: number
  readonly holds?: string
  readonly attempt: (attacker: Attacker, n: number) => Promise<unknown>
}

function again (
  name: string, { input, count, restMs, holds = 'callers who are known are answered, by HTTP and MQTT', attempt }: Shape
): Attack {
  return {
    name: `lockout/${name}`,
    who: 'stranger',
    input: `${count} ${input} from the address of the honest client, ${Math.round(1_000 / restMs)} a second at most`,
    holds,
    async run (attacker) {
      for (let n = 0; n < count; n++) {
        await attempt(attacker, n)
        await attacker.pause(restMs)
      }
    }
  }
}

export const lockout: readonly Attack[] = [
  again('bad-tokens', {
    input: 'bad tokens by HTTP',
    count: 150,
    restMs: 20,
    async attempt (attacker, n) {
      const { status } = await attacker.ask({ path: '/api/v1/zones', token: `nobody-${n}`, from })
      attacker.expect(status === 401 || status === 429, `status ${status} for a bad token`)
    }
  }),
  again('bad-mqtt-logins', {
    input: 'bad passwords by MQTT',
    count: 100,
    restMs: 20,
    async attempt (attacker, n) {
      const mqtt = await attacker.mqtt({ token: `nobody-${n}`, from, version: n % 2 ? 4 : 5 })
      attacker.expect(mqtt === undefined, 'a bad password was let in')
    }
  }),
  again('one-bad-token-again-and-again', {
    input: 'requests with one expired key',
    count: 200,
    restMs: 15,
    attempt: attacker => attacker.ask({ path: '/api/v1/devices', token: 'relay_local_0123456789ab_ended', from })
  }),
  again('no-token', {
    input: 'requests without a token',
    count: 200,
    restMs: 15,
    attempt: attacker => attacker.ask({ path: '/api/v1/zones', token: '', from })
  }),
  again('mqtt-takeover', {
    input: 'CONNECTs with a client id that could be the honest one\'s and no password',
    count: 60,
    restMs: 20,
    holds: 'its connection stays',
    attempt: (attacker, n) => attacker.mqtt({ token: '', clientId: `honest-${n}`, from })
  })
]
