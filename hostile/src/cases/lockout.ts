/** A stranger who shares the honest client's address, as all behind one router do, fails to log in. */
import type { Attack } from '../attack.ts'

const SHARED = '127.0.0.1'

export const lockout: readonly Attack[] = [
  {
    name: 'lockout/bad-tokens',
    who: 'stranger',
    input: '150 bad tokens by HTTP from the address of the honest client, 50 a second',
    holds: 'callers who are known are answered',
    async run (attacker) {
      for (let n = 0; n < 150; n++) {
        const { status } = await attacker.ask({ path: '/api/v1/zones', token: `nobody-${n}`, from: SHARED })
        attacker.expect(status === 401 || status === 429, `status ${status} for a bad token`)
        await attacker.pause(20)
      }
    }
  },
  {
    name: 'lockout/bad-mqtt-logins',
    who: 'stranger',
    input: '100 bad passwords by MQTT from the address of the honest client, 50 a second',
    holds: 'callers who are known are answered, by HTTP and MQTT',
    async run (attacker) {
      for (let n = 0; n < 100; n++) {
        const mqtt = await attacker.mqtt({ token: `nobody-${n}`, from: SHARED, version: n % 2 ? 4 : 5 })
        attacker.expect(mqtt === undefined, 'a bad password was let in')
        await attacker.pause(20)
      }
    }
  },
  {
    name: 'lockout/one-bad-token-again-and-again',
    who: 'stranger',
    input: 'one expired key 200 times from the address of the honest client, 65 a second',
    holds: 'callers who are known are answered',
    async run (attacker) {
      for (let n = 0; n < 200; n++) {
        await attacker.ask({ path: '/api/v1/devices', token: 'relay_local_0123456789ab_ended', from: SHARED })
        await attacker.pause(15)
      }
    }
  },
  {
    name: 'lockout/no-token',
    who: 'stranger',
    input: '200 requests without a token from the address of the honest client, 65 a second',
    holds: 'callers who are known are answered',
    async run (attacker) {
      for (let n = 0; n < 200; n++) {
        await attacker.ask({ path: '/api/v1/zones', token: '', from: SHARED })
        await attacker.pause(15)
      }
    }
  },
  {
    name: 'lockout/mqtt-takeover',
    who: 'stranger',
    input: '60 CONNECTs with a client id that could be the honest one\'s and no password',
    holds: 'its connection stays',
    async run (attacker) {
      for (let n = 0; n < 60; n++) {
        await attacker.mqtt({ token: '', clientId: `honest-${n}`, from: SHARED })
        await attacker.pause(20)
      }
    }
  }
]
