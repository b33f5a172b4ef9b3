/**
 * Routes for operators, the dashboard, and traces: callers without the right, an administrator in a hurry, generated
 * places and bodies, and clients that want each of their events traced.
 */
import { eventOf, type Attacker } from '../attacker.ts'
import { OWN_ZONE, type Attack, type KeyWanted } from '../attack.ts'
import { isReady } from '../site.ts'

const json = { 'content-type': 'application/json' }
/** an administrator who may see only one zone */
const zoneAdmin: KeyWanted = { scopes: ['admin'], zones: [OWN_ZONE] }

function allLetters (): string {
  return `start=2020-01-01T00:00:00Z&end=${new Date(Date.now() + 60_000).toISOString()}`
}

async function replay (attacker: Attacker, body: unknown, token = attacker.target.adminToken) {
  return await attacker.ask({
    method: 'POST',
    path: '/api/v1/dead-letters/replay',
    token,
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: json
  })
}

/** Places of letters in every spelling that a parser may take for a number. */
function place ({ chance }: Attacker): string {
  const number = () => chance.pick([
    String(chance.below(4)), String(chance.below(1e9)), '-1', '1e3', '0x1', '00', ' 1', '1 ', '9'.repeat(19),
    '9'.repeat(400), '1.5', 'NaN', '', '\u0660', '../1', '%00', '\'', 'null'
  ])
  return chance.pick([
    `${number()}:${number()}`, number(), `${number()}:${number()}:${number()}`, `${number()}/${number()}`
  ])
}

async function notAnAdmin (attacker: Attacker): Promise<void> {
  for (const path of ['/api/v1/operations', `/api/v1/dead-letters?${allLetters()}`, '/api/v1/dead-letters/0:0']) {
    const { status } = await attacker.ask({ path })
    attacker.expect(status === 403, `status ${status} for ${path.slice(0, 30)}`)
  }
  const { status } = await replay(attacker, { letters: ['0:0'], dryRun: false }, attacker.target.token)
  attacker.expect(status === 403, `status ${status} for a replay`)
}

/** The same request at a steady pace, until the attack is over. */
async function paced (attacker: Attacker, perSecond: number, ask: (n: number) => Promise<unknown>): Promise<void> {
  const answers: Promise<unknown>[] = []
  for (let n = 0; !attacker.isOver; n++) {
    answers.push(ask(n))
    await attacker.pause(1_000 / perSecond)
  }
  await Promise.all(answers)
}

export const operations: readonly Attack[] = [
  {
    name: 'operations/read-key',
    who: 'read key',
    input: 'status of the site, dead letters and their replay with a read key',
    holds: '403',
    run: notAnAdmin
  },
  {
    name: 'operations/write-key',
    who: 'write key',
    input: 'the same with a write key',
    holds: '403',
    run: notAnAdmin
  },
  {
    name: 'operations/one-zone',
    who: 'admin',
    input: 'status of the site and all dead letters by an administrator of one zone',
    holds: 'no status of the site; letters of other zones are not shown, and not replayed',
    key: zoneAdmin,
    async run (attacker) {
      const { status } = await attacker.ask({ path: '/api/v1/operations' })
      attacker.expect(status === 403, `status ${status} for the status of the site`)
      const device = `honest-${attacker.number}`
      const mqtt = await attacker.mqtt({ version: 4, token: attacker.target.adminToken })
      mqtt?.publish(eventOf(device, 'Honest', { value: 'x' }))
      await mqtt?.next() // MQTT 3.1.1 can't refuse: it is a letter now
      const { body } = await attacker.ask({ path: `/api/v1/dead-letters?${allLetters()}&limit=200` })
      attacker.expect(!body.includes(`"${device}"`), 'a letter of another zone is listed')
      const all = await attacker.ask({
        path: `/api/v1/dead-letters?${allLetters()}&limit=200`, token: attacker.target.adminToken
      })
      const letters = JSON.parse(all.body.toString()).letters as { letter: string, device: string | null }[]
      const foreign = letters.filter(it => it.device === device).map(it => it.letter)
      attacker.expect(foreign.length > 0, 'the letter that was made for this is not there')
      for (const letter of foreign.slice(0, 3)) {
        const answers = [
          await attacker.ask({ path: `/api/v1/dead-letters/${letter}` }),
          await replay(attacker, { letters: [letter], dryRun: false, again: true }, attacker.target.token)
        ]
        for (const it of answers) attacker.expect(it.status === 403, `status ${it.status} for a letter of another zone`)
      }
    }
  },
  {
    name: 'operations/generated',
    who: 'admin',
    input: 'generated places of letters, cursors, and bodies of a replay, one after the other',
    holds: '400 or 404, and nothing is sent',
    spanMs: 20_000,
    async run (attacker) {
      const { chance, target: { adminToken: token } } = attacker
      for (let n = 0; n < attacker.generated && !attacker.isOver; n++) {
        const what = chance.below(10)
        if (what < 5) {
          const path = `/api/v1/dead-letters/${encodeURIComponent(place(attacker))}`
          const { status } = await attacker.ask({ path, token })
          attacker.expect([200, 400, 404, 429].includes(status), `status ${status} for a generated place`)
        } else if (what < 8) {
          const letters = chance.pick<unknown>([
            Array.from({ length: chance.pick([1, 3, 100, 101]) }, () => place(attacker)), place(attacker), [], null,
            [null], [[]], [7], { 0: '0:0' }
          ])
          const more = chance.pick([
            {}, { dryRun: 'false' }, { dry_run: false }, { dryRun: 0 }, { dryRun: null }, { again: 1 },
            { DryRun: false }
          ])
          const { status, body } = await replay(attacker, { letters, ...more })
          attacker.expect([200, 400, 429].includes(status), `status ${status} for a generated replay`)
          const isDry = status !== 200 || JSON.parse(body.toString()).dryRun === true
          attacker.expect(isDry, 'a misspelled dry run sends letters')
        } else {
          const cursor = chance.pick([
            'x', 'A'.repeat(128), Buffer.from(`1 ${place(attacker)}`).toString('base64url'), '%00', 'MSAxIDEgMQ',
            Buffer.from('1 9e9 0 0').toString('base64url')
          ])
          const path = `/api/v1/dead-letters?${allLetters()}&limit=1&cursor=${cursor}`
          const { status } = await attacker.ask({ path, token })
          attacker.expect([200, 400, 429].includes(status), `status ${status} for a generated cursor`)
        }
        await attacker.pause(2)
      }
    }
  },
  {
    name: 'operations/status-flood',
    who: 'admin',
    input: 'status of the site, 50 requests a second',
    run: attacker => paced(attacker, 50, () => attacker.ask({
      path: '/api/v1/operations', token: attacker.target.adminToken
    }))
  },
  {
    name: 'operations/replay-flood',
    who: 'admin',
    input: 'dry runs of 100 letters each, 20 a second',
    run: attacker => paced(attacker, 20, n => replay(attacker, {
      letters: Array.from({ length: 100 }, (_, index) => `${index % 2}:${(n * 100 + index) % 3_000}`)
    }))
  },
  {
    name: 'operations/abandoned-lists',
    who: 'admin',
    input: '20 x all dead letters at once, clients gone after 1 s',
    holds: 'their work ends with them',
    async run (attacker) {
      await Promise.all(Array.from({ length: 20 }, async () => await attacker.ask({
        path: `/api/v1/dead-letters?${allLetters()}&limit=200`, token: attacker.target.adminToken, leaveAfterMs: 1_000
      })))
      await attacker.pause(500)
    }
  },
  {
    name: 'traces/sampled-by-client',
    who: 'write key',
    input: 'events that all ask to be traced, with a tracestate of 6 KB, at an API whose collector is away',
    holds: 'each is accepted or refused as without, and the API goes on',
    async run (attacker) {
      const { chance, target: { debugPort: port } } = attacker
      const hex = (digits: number) => Array.from({ length: digits }, () => chance.below(16).toString(16)).join('')
      await paced(attacker, 50, async n => {
        const traceparent = chance.pick([
          `00-${hex(32)}-${hex(16)}-01`, `00-${hex(32)}-${hex(16)}-ff`, `ff-${hex(32)}-${hex(16)}-01`,
          `00-${'0'.repeat(32)}-${hex(16)}-01`, `00-${hex(32)}`, '-'.repeat(400), `${hex(55)}`
        ])
        const headers = { traceparent, tracestate: `a=${'x'.repeat(6_000)}` }
        const { status } = await attacker.send(`${eventOf(`large-${n}`, OWN_ZONE)}\n`, headers, { port })
        attacker.expect(status === 202, `status ${status} for an event with a traceparent`)
      })
    },
    verify: async site => {
      return await isReady(site.debugPort) ? [] : ['the API with traces is not ready any more']
    }
  }
]
