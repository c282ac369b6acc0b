import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { createConnection, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

type Protocol = 'tcp' | 'udp'
export interface Target {
  protocol: Protocol
  host: string
  port: number
  /** The address to speak from. */
  from?: string
}

/** What one host of a play with real packets can do: answer on a port with who it is and whom it saw, ask another, or keep asking over one connection. */
export function player(name: string) {
  const kept = new Map<number, ReturnType<typeof line>>()
  const heard: string[] = []
  return {
    /** Every connection and message so far, answered or not. */
    heard,
    listen: (port: number, host = '0.0.0.0') =>
      Promise.all([
        new Promise<void>((resolve) => {
          const server = createServer((socket) => {
            heard.push(`tcp ${port}`)
            socket.unref() // Who called may have gone without a word.
            socket.on('error', () => undefined).on('data', () => socket.write(`${name} saw ${socket.remoteAddress}`))
          })
          server.listen(port, host, resolve).unref()
        }),
        new Promise<void>((resolve) => {
          const socket = createSocket('udp4')
          socket.on('message', (_, from) => {
            heard.push(`udp ${port}`)
            socket.send(`${name} saw ${from.address}`, from.port, from.address)
          })
          socket.bind(port, host, resolve)
          socket.unref()
        }),
      ]).then(() => 'ok'),
    /** Listens, and says something to whoever came once, for ever. */
    stream: (port: number) =>
      Promise.all([
        new Promise<void>((resolve) => {
          const server = createServer((socket) => {
            setInterval(() => socket.write(`${name} goes on`), 5)
            socket.on('error', () => undefined)
          })
          server.listen(port, '0.0.0.0', resolve).unref()
        }),
        new Promise<void>((resolve) => {
          const socket = createSocket('udp4')
          socket.once('message', (_, from) => setInterval(() => socket.send(`${name} goes on`, from.port, from.address), 5))
          socket.bind(port, '0.0.0.0', resolve)
        }),
      ]).then(() => 'ok'),
    async ask(target: Target, waitMs: number) {
      const asked = line(target)
      const answer = await asked.ask(waitMs)
      asked.close()
      return answer
    },
    /** Asks a server of addresses for more (DHCPINFORM), as whoever has this MAC; gives its answer. */
    inform: (mac: string, ip: string, server: string, waitMs: number) =>
      new Promise<string>((resolve) => {
        const socket = createSocket('udp4')
        const done = (answer: string) => {
          clearTimeout(timer)
          socket.close()
          resolve(answer)
        }
        const timer = setTimeout(() => done('nothing'), waitMs)
        const message = Buffer.alloc(300)
        message.set([1, 1, 6, 0, 7, 7, 7, 7])
        message.set(ip.split('.').map(Number), 12)
        message.set(mac.split(':').map((byte) => parseInt(byte, 16)), 28)
        message.set([99, 130, 83, 99, 53, 1, 8, 255], 236)
        socket.on('message', () => done('an answer')).bind({ address: ip, port: 68 }, () => socket.send(message, 67, server))
      }),
    async keep(id: number, target: Target) {
      kept.set(id, line(target))
      return 'ok'
    },
    /** Says something by UDP, from now on and as often as timers go, whether or not it can be sent. */
    async shout({ host, port }: Target) {
      const socket = createSocket('udp4').on('error', () => undefined)
      setInterval(() => socket.send('who?', port, host, () => undefined), 1)
      return 'ok'
    },
    /** How much it heard on a port. */
    heardOn: async (protocol: Protocol, port: number) => String(heard.filter((one) => one === `${protocol} ${port}`).length),
    askKept: async (id: number, waitMs: number) => (await kept.get(id)?.ask(waitMs)) ?? 'no such line',
    hangUp: () => kept.forEach((one) => one.close()),
  }
}

/** One connection, or one UDP port, over which one can ask many times. */
function line({ protocol, host, port, from }: Target) {
  let hear = (_answer: string) => {}
  const asking = (say: () => void) => (waitMs: number) =>
    new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve('nothing'), waitMs)
      hear = (answer) => {
        clearTimeout(timer)
        resolve(answer)
      }
      say()
    })
  if (protocol === 'udp') {
    const socket = createSocket('udp4').on('message', (bytes) => hear(String(bytes))).on('error', () => hear('nothing'))
    socket.bind({ address: from ?? '0.0.0.0', port: 0 })
    return { ask: asking(() => socket.send('who?', port, host)), close: () => socket.close() }
  }
  const socket = createConnection({ host, port, ...(from === undefined ? {} : { localAddress: from }) })
  socket.on('data', (bytes) => hear(String(bytes))).on('error', () => hear('nothing'))
  return { ask: asking(() => socket.write('who?')), close: () => socket.destroy() }
}

/** Reads calls from standard input, one JSON line each, and answers each when it can. */
function servePeer(): void {
  const me = player(process.env.TT_TEST_PEER ?? '') as unknown as Record<string, (...args: unknown[]) => Promise<string>>
  const serve = async (text: string) => {
    const [number, verb, ...args] = JSON.parse(text) as [number, string, ...unknown[]]
    process.stdout.write(`${JSON.stringify([number, await me[verb]?.(...args)])}\n`)
  }
  createInterface({ input: process.stdin })
    .on('line', (text) => {
      serve(text).catch(() => process.exit(1))
    })
    .on('close', () => process.exit())
}

/** A player in a network namespace of its own, which is gone with it. */
export function peer(name: string) {
  const child = spawn('unshare', ['--net', process.execPath, fileURLToPath(import.meta.url)], {
    env: { ...process.env, TT_TEST_PEER: name },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const waiting = new Map<number, (answer: string) => void>()
  let calls = 0
  createInterface({ input: child.stdout }).on('line', (text) => {
    const [number, answer] = JSON.parse(text) as [number, string]
    waiting.get(number)?.(answer)
  })
  const call = (verb: string, ...args: unknown[]) =>
    new Promise<string>((resolve) => {
      waiting.set(++calls, resolve)
      child.stdin.write(`${JSON.stringify([calls, verb, ...args])}\n`)
    })
  return {
    pid: child.pid ?? 0,
    sh: (...argv: string[]) => sh('nsenter', '--net', '--target', String(child.pid), ...argv),
    listen: (port: number) => call('listen', port),
    stream: (port: number) => call('stream', port),
    ask: (target: Target, waitMs: number) => call('ask', target, waitMs),
    inform: (mac: string, ip: string, server: string, waitMs: number) => call('inform', mac, ip, server, waitMs),
    shout: (target: Target) => call('shout', target),
    heardOn: async (protocol: Protocol, port: number) => Number(await call('heardOn', protocol, port)),
    keep: (id: number, target: Target) => call('keep', id, target),
    askKept: (id: number, waitMs: number) => call('askKept', id, waitMs),
    end: () => child.stdin.end(),
  }
}
export type Peer = ReturnType<typeof peer>
type Asker = Pick<Peer, 'ask'>

export function sh(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** An answer comes within milliseconds; how long one waits for it, and how long for none. */
export const patienceMs = 8000
export const silenceMs = 300

export async function answers(who: Asker, host: string, port: number, answer: string): Promise<void> {
  for (const protocol of ['tcp', 'udp'] as const) assert.equal(await who.ask({ protocol, host, port }, patienceMs), answer, `${protocol} ${host}:${port}`)
}

export async function silent(who: Asker, host: string, port: number, from?: string): Promise<void> {
  const asked = (['tcp', 'udp'] as const).map((protocol) => who.ask({ protocol, host, port, ...(from === undefined ? {} : { from }) }, silenceMs))
  assert.deepEqual(await Promise.all(asked), ['nothing', 'nothing'], `${host}:${port}`)
}


if (process.env.TT_TEST_PEER !== undefined) servePeer()
