import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { WebSocket } from 'ws'
import { packed, unpacked } from '../src/api/sessions.ts'
import { diceOf, type Dice } from './dice.ts'
import { serverGround, type ServerGround } from './e2e/ground.ts'

const soak = process.env['TT_SOAK'] === '1'
const frames = soak ? 1_000_000 : 30_000
const seed = Number(process.env['TT_SEED'] ?? Date.now() % 1_000_000_000)
const callers = 8
/** What a server may hold at its end; and, of a long run, then more than after the first half: its garbage is collected late, but what grows on is a leak. */
const mostMb = 500
const growthMb = 80

/**
 * A client with a good token and bad manners: requests that are bent, frames that are none, floods that read nothing, and hang-ups anywhere. The
 * server goes on, holds no more memory, and what another client does meanwhile is whole.
 */
it(`[F08] a server outlives ${frames} frames of hostile clients (TT_SEED=${seed})`, { timeout: soak ? 3_600_000 : 180_000 }, async () => {
  await using server = serverGround(['--engine', 'fake', '--rate-limit=0'])
  await server.start()
  assert.equal((await server.tt('env', 'add', 'victim', '--os-prefix=fake:micro', '--dup-each=3')).code, 0)
  const token = readFileSync(join(server.dir, 'data', 'token'), 'utf8').trim()
  const honest = await honestSession(server, token)
  let sent = 0
  let halfMb = 0
  const work = async (caller: number) => {
    for (let round = 0; sent < frames; round++) {
      sent += await rude(server, token, diceOf((seed + caller * 7_919_063 + round) >>> 0))
      if (halfMb === 0 && sent > frames / 2) halfMb = residentMb(server)
    }
  }
  const echoes = async () => {
    for (let round = 0; sent < frames; round++) await honest.echo(`round ${round} é\n`)
  }
  await Promise.all([...Array.from({ length: callers }, (_, caller) => work(caller)), echoes()])
  await honest.echo('the last word\n')
  honest.close()
  const said = await server.tt('env', 'run', 'victim', '--cmd', 'echo well')
  assert.equal(said.code, 0, said.stderr)
  assert.equal(said.stdout.match(/^well$/gm)?.length, 4)
  const endMb = residentMb(server)
  assert.ok(endMb < mostMb && (!soak || endMb < halfMb + growthMb), `it has ${endMb} MB, and had ${halfMb} MB half-way`)
  assert.doesNotMatch(server.log(), /"level":"(error|fatal)"/)
})

/** A session whose bytes come back. */
async function honestSession({ port }: ServerGround, token: string) {
  const socket = await connected(port, token)
  let wanted = ''
  let heard = ''
  let arrived = Promise.withResolvers<void>()
  socket.on('close', () => arrived.reject(new Error(`the honest session ended in the middle of ${JSON.stringify(wanted)}`)))
  socket.on('message', (data: Buffer) => {
    const message = unpacked(data)
    if (message.type !== 'frame' || message.frame.type !== 'stdout') return
    heard += Buffer.from(message.frame.data).toString('latin1')
    if (heard.length >= wanted.length) arrived.resolve()
  })
  arrived.promise.catch(() => undefined)
  socket.send(JSON.stringify({ type: 'exec', vms: { envs: ['victim'], indices: [0] }, command: { argv: ['cat'] }, stdin: true }))
  return {
    async echo(text: string) {
      const data = Buffer.from(text)
      wanted = data.toString('latin1')
      heard = ''
      arrived = Promise.withResolvers()
      socket.send(packed({ type: 'input', input: { type: 'stdin', data } }))
      await arrived.promise
      assert.equal(heard, wanted)
    },
    close: () => socket.removeAllListeners('close').terminate(),
  }
}

/** One connection of somebody rude; how many frames were sent over it. */
async function rude({ port }: ServerGround, token: string, dice: Dice): Promise<number> {
  const socket = await connected(port, token)
  const ended = new Promise((resolve) => socket.on('close', resolve))
  const count = 1 + dice(dice(4) === 0 ? 2000 : 200)
  if (dice(6) === 0) socket.pause()
  socket.send(dice(10) === 0 ? nonsense(dice) : requestText(dice))
  for (let at = 1; at < count && socket.readyState === socket.OPEN; at++) {
    socket.send(dice(count) === 0 ? bent(dice, frameFrom(dice)) : frameFrom(dice))
    if (at % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  socket.resume()
  if (dice(2) === 0) socket.terminate()
  else setTimeout(() => socket.terminate(), dice(100))
  await ended
  return count
}

function connected(port: number, token: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
  return new Promise((resolve, reject) => {
    socket.on('error', (fault) => reject(fault))
    socket.on('open', () => resolve(socket))
  })
}

const vms = { envs: ['victim'] }
const requests = [
  { type: 'exec', vms, command: { argv: ['cat'] }, stdin: true },
  { type: 'exec', vms, command: { shell: 'cat; echo x >&2' }, stdin: true, timeoutMs: 5 },
  { type: 'exec', vms, command: { shell: 'head -c 3000000 /dev/zero' } },
  { type: 'exec', vms, command: { argv: ['sh'] }, tty: { columns: 80, rows: 24 }, stdin: true },
  { type: 'exec', vms, command: { script: '#!/bin/sh\necho x', args: ['a'] } },
  { type: 'push', vms, path: '/tmp/x', overwrite: true },
  { type: 'push', vms: { envs: ['victim'], indices: [2] }, path: '/tmp/y', timeoutMs: 50 },
  { type: 'get', vms, path: '/tmp/x' },
  { type: 'console', vms: { envs: ['victim'], indices: [1] } },
  { type: 'screen', vms: { envs: ['victim'], indices: [1] } },
  { type: 'logs', vms, follow: true },
  { type: 'ping', vms, timeoutMs: 100 },
  { type: 'events', follow: true },
  { type: 'audit', last: 5 },
]

/** A request, now and then with a value of another kind somewhere in it. */
function requestText(dice: Dice): string {
  const request = requests[dice(requests.length)] as object
  if (dice(4) > 0) return JSON.stringify(request)
  const strange = [null, -1, 2 ** 60, '', '\0', '/'.repeat(5000), [], {}, true, '../../etc/shadow', { envs: [] }]
  const target = dice(3) === 0 ? strange[dice(strange.length)] : { ...request, [Object.keys(request)[dice(Object.keys(request).length)] as string]: strange[dice(strange.length)] }
  return JSON.stringify(target)
}

function frameFrom(dice: Dice): Uint8Array {
  const vm = dice(3) === 0 ? { vm: ['victim.0', 'victim.9', 'x', ''][dice(4)] as string } : {}
  const path = ['', 'a', 'a/b', 'ä b'][dice(4)] as string
  const sizeBytes = [0, 1, 5000, 2 ** 52][dice(4)] as number
  const sha256 = dice(2).toString(16).repeat(64)
  switch (dice(8)) {
    case 0:
      return packed({ type: 'input', input: { type: 'eof', ...vm } })
    case 1:
      return packed({ type: 'input', input: { type: 'signal', ...vm, signal: ['SIGTERM', 'SIGKILL', 'SIGSTOP', 'SIGX'][dice(4)] as string } })
    case 2:
      return packed({ type: 'input', input: { type: 'size', ...vm, columns: 1 + dice(10_000), rows: 1 + dice(10_000) } })
    case 3:
      return packed({ type: 'input', input: { type: 'entry', entry: { path, type: (['file', 'directory', 'link'] as const)[dice(3)] as 'file', mode: dice(0o10000), sizeBytes, sha256, target: '../../../etc/passwd' } } })
    case 4:
      return packed({ type: 'input', input: { type: 'from', offset: sizeBytes } })
    case 5:
      return packed({ type: 'credit', bytes: dice(2 ** 32) })
    default:
      return packed({ type: 'input', input: { type: 'stdin', ...vm, data: Buffer.alloc(dice(dice(10) === 0 ? 60_000 : 300), 65) } })
  }
}

const nonsense = (dice: Dice) => Buffer.from(Array.from({ length: dice(300) }, () => dice(256)))

/** The frame with some bits turned, or cut, or something else altogether. */
function bent(dice: Dice, frame: Uint8Array): Uint8Array {
  if (dice(3) === 0) return nonsense(dice)
  const bytes = Buffer.from(frame)
  for (let flips = 1 + dice(4); flips > 0; flips--) {
    const at = dice(bytes.length)
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << dice(8)), at)
  }
  return dice(2) === 0 ? bytes : bytes.subarray(0, dice(bytes.length))
}

const residentMb = ({ pid }: ServerGround): number => Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid()}/status`, 'utf8'))?.[1] ?? 0) / 1024)
