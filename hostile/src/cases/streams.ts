/** Streams of live changes: many, large, unread, and opened again and again. */
import { OWN_ZONE, readEverything, type Attack } from '../attack.ts'
import type { Attacker } from '../attacker.ts'

interface Streams {
  readonly count: number, readonly path: (n: number) => string, readonly isRead?: boolean, readonly stayMs?: number
}

async function open (attacker: Attacker, { count, path, isRead = true, stayMs = 1_500 }: Streams): Promise<void> {
  const opened = []
  for (let n = 0; n < count && !attacker.isOver; n++) {
    const raw = await attacker.connect(attacker.target.apiPort)
    if (!isRead) raw.socket.pause()
    raw.write(`GET ${path(n)} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${attacker.target.token}\r\n\r\n`)
    opened.push(raw)
    await attacker.pause(2)
  }
  await attacker.pause(stayMs)
  for (const it of opened) {
    attacker.count(it.isOpen || it.status > 0 ? it.status : 'closed')
    it.end()
  }
}

/** A new client is let in while others hold what they may hold. */
async function othersGetIn (attacker: Attacker): Promise<void> {
  const raw = await attacker.connect(attacker.target.apiPort, '127.0.0.1')
  raw.write(`GET /api/v1/stream?zone=Honest&interval=1m HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${attacker.target.adminToken}\r\n\r\n`)
  await raw.heard(10_000)
  attacker.expect(raw.status === 200, `status ${raw.status} for the stream of another caller`)
  raw.end()
}

export const streams: readonly Attack[] = [
  {
    name: 'streams/all-of-them',
    who: 'read key',
    input: '2,100 streams of one key, one connection each, 400 a second',
    holds: 'another caller gets a stream',
    spanMs: 6_000,
    async run (attacker) {
      await Promise.all([
        open(attacker, { count: 2_100, path: () => '/api/v1/stream?device=large-7&interval=1m', stayMs: 2_500 }),
        attacker.pause(6_500).then(() => othersGetIn(attacker))
      ])
    }
  },
  { name: 'streams/by-device', who: 'read key', input: '10 streams with groupBy=device on 300,000 devices', run: it => open(it, { count: 10, path: n => `/api/v1/stream?zone=${OWN_ZONE}&groupBy=device&interval=${['1m', '1h', '1d'][n % 3]}` }) },
  { name: 'streams/by-zone', who: 'read key', key: readEverything, input: '10 streams with groupBy=zone on 26,000 zones', run: it => open(it, { count: 10, path: n => `/api/v1/stream?groupBy=zone&interval=${['1m', '1h', '1d'][n % 3]}` }) },
  { name: 'streams/all-different', who: 'read key', key: readEverything, input: '300 streams, each of another selection', run: it => open(it, { count: 300, path: n => `/api/v1/stream?device=large-${n}&device=honest-${n % 12}&interval=1m` }) },
  {
    name: 'streams/unread',
    who: 'read key',
    key: readEverything,
    input: '60 streams of everything that nobody reads',
    run: it => open(it, { count: 60, path: () => '/api/v1/stream?groupBy=device&interval=1m', isRead: false })
  },
  { name: 'streams/again-and-again', who: 'read key', key: readEverything, input: 'streams that are opened and left, 100 a second, with made-up positions', run: it => open(it, { count: 250, path: n => `/api/v1/stream?zone=${OWN_ZONE}&interval=1h&device=large-${n}`, stayMs: 0 }) }
]
