import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { createConnection, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Effect, type Effects, plainEffects } from '../../src/base/effects.ts'
import { ground, linkOn } from '../../src/drivers/network/ground.ts'
import { inNamespace } from '../../src/drivers/network/network.contract.ts'
import type { Link } from '../../src/drivers/network/network.ts'
import { bridgeOf, gatewayOf, tapOf } from '../../src/drivers/network/nftables/names.ts'
import { nftables } from '../../src/drivers/network/nftables/nftables.ts'

/**
 * Real packets. Guests and the outside world are processes in network namespaces of their own; a guest hangs on one end of a pair of virtual
 * cables whose other end takes the place, and the name, of its tap.
 */
type Protocol = 'tcp' | 'udp'
interface Target {
  protocol: Protocol
  host: string
  port: number
  /** The address to speak from. */
  from?: string
}

/** What one host of the play can do: answer on a port with who it is and whom it saw, ask another, or keep asking over one connection. */
function player(name: string) {
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
    async ask(target: Target, waitMs: number) {
      const asked = line(target)
      const answer = await asked.ask(waitMs)
      asked.close()
      return answer
    },
    async keep(id: number, target: Target) {
      kept.set(id, line(target))
      return 'ok'
    },
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
function peer(name: string) {
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
    ask: (target: Target, waitMs: number) => call('ask', target, waitMs),
    keep: (id: number, target: Target) => call('keep', id, target),
    askKept: (id: number, waitMs: number) => call('askKept', id, waitMs),
    end: () => child.stdin.end(),
  }
}
type Peer = Pick<ReturnType<typeof peer>, 'ask'>

function sh(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** An answer comes within milliseconds; how long one waits for it, and how long for none. */
const patienceMs = 8000
const silenceMs = 300

async function answers(who: Peer, host: string, port: number, answer: string): Promise<void> {
  for (const protocol of ['tcp', 'udp'] as const) assert.equal(await who.ask({ protocol, host, port }, patienceMs), answer, `${protocol} ${host}:${port}`)
}

async function silent(who: Peer, host: string, port: number, from?: string): Promise<void> {
  const asked = (['tcp', 'udp'] as const).map((protocol) => who.ask({ protocol, host, port, ...(from === undefined ? {} : { from }) }, silenceMs))
  assert.deepEqual(await Promise.all(asked), ['nothing', 'nothing'], `${host}:${port}`)
}

const [l1, l2, l3, l4] = [linkOn(0, 0), linkOn(0, 1), linkOn(1, 0, { denyOutgoing: true }), linkOn(1, 1)]

async function suite(): Promise<void> {
  const on = ground(nftables)
  const loose: string[] = []
  const calm = plainEffects()
  const effects: Effects = {
    get count() {
      return calm.count
    },
    act(effect, run) {
      const did = calm.act(effect, run)
      return did instanceof Promise ? (did.finally(() => look(effect)) as typeof did) : did
    },
  }
  /** Whether a tap that is up has a guest that is not denied though it should be. */
  const look = ({ kind, verb }: Effect) => {
    if (sh('nft', 'list', 'tables').includes(`ip tt_${on.mark}\n`) && sh('nft', 'list', 'set', 'ip', `tt_${on.mark}`, 'deny_out').includes(l3.ip)) return
    if (sh('ip', '-br', 'link', 'show', 'up').includes(tapOf(on.mark, l3.ip))) loose.push(`${verb} ${kind}`)
  }
  const driver = await on.driver(effects)
  const probe = await driver.probe()
  if (!probe.usable) {
    await on.clear()
    test('network nftables: traffic', { skip: `not usable here: ${probe.why}` }, () => undefined)
    return
  }
  const [p1 = 0, p2 = 0, p3 = 0] = [l1, l2, l3].map(({ ports }) => ports[22])
  const [g1, g2, g3, g4, outside] = ['g1', 'g2', 'g3', 'g4', 'outside'].map(peer) as [ReturnType<typeof peer>, ReturnType<typeof peer>, ReturnType<typeof peer>, ReturnType<typeof peer>, ReturnType<typeof peer>]
  const host = player('host')
  after(async () => {
    for (const one of [g1, g2, g3, g4, outside]) one.end()
    host.hangUp()
    // Their network namespaces, and with them our ends of the cables, go while we remove them.
    try {
      await (await on.driver()).clear()
    } finally {
      await on.clear()
    }
  })

  const plug = (guest: ReturnType<typeof peer>, link: Link) => {
    const tap = tapOf(on.mark, link.ip)
    const { ip, prefixLength } = gatewayOf(link.slice)
    sh('ip', 'link', 'delete', 'dev', tap)
    sh('ip', 'link', 'add', 'name', tap, 'type', 'veth', 'peer', 'name', 'eth0', 'address', link.mac, 'netns', String(guest.pid))
    sh('ip', 'link', 'set', 'dev', tap, 'master', bridgeOf(on.mark, link.slice))
    sh('ip', 'link', 'set', 'dev', tap, 'up', 'type', 'bridge_slave', 'hairpin', 'on')
    configure(guest, `${link.ip}/${prefixLength}`)
    guest.sh('ip', 'route', 'add', 'default', 'via', ip)
  }
  const configure = (one: ReturnType<typeof peer>, address: string) => {
    one.sh('ip', 'link', 'set', 'dev', 'lo', 'up')
    one.sh('ip', 'address', 'add', address, 'dev', 'eth0')
    one.sh('ip', 'link', 'set', 'dev', 'eth0', 'up')
  }
  /** As `change`, and the guests stay plugged in: their taps are not touched. */
  const update = (...put: Link[]) => driver.change({ put, remove: [] })

  sh('ip', 'link', 'set', 'dev', 'lo', 'up')
  await Promise.all([...[g1, g2, g3, g4].map((guest) => guest.listen(22)), ...[80, 53].map((port) => outside.listen(port)), host.listen(7777), host.listen(7778, '127.0.0.1')])
  sh('ip', 'link', 'add', 'name', 'up0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(outside.pid))
  sh('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'up0')
  sh('ip', 'link', 'set', 'dev', 'up0', 'up')
  configure(outside, '192.0.2.2/24')
  await driver.reconcile([])
  await driver.change({ put: [l1, l2, l3, l4], remove: [] })
  plug(g1, l1)
  plug(g2, l2)
  plug(g3, l3)
  plug(g4, l4)

  test('traffic: the rule that denies is there before the tap is up', () => {
    assert.deepEqual(loose, [])
  })

  // Off as on most machines; on as on those with Docker, and in every new namespace.
  for (const filtered of ['0', '1']) {
    const bridged = `bridged packets filtered: ${filtered}`
    test(`traffic: a public port leads to its guest from outside, from the machine itself and by 127.0.0.1 (${bridged})`, async () => {
      sh('sh', '-c', `echo ${filtered} > /proc/sys/net/bridge/bridge-nf-call-iptables`)
      await answers(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2')
      await answers(outside, '192.0.2.1', p2, 'g2 saw 192.0.2.2')
      await answers(host, '192.0.2.1', p1, 'g1 saw 192.0.2.1')
      await answers(host, '127.0.0.1', p1, 'g1 saw 10.77.0.1')
      await answers(host, l1.ip, 22, 'g1 saw 10.77.0.1')
      await silent(outside, '192.0.2.1', 22)
    })

    test(`traffic: guests reach public ports, their own too, again and again (${bridged})`, async () => {
      await answers(g1, l2.ip, 22, 'g2 saw 10.77.0.2')
      for (const at of ['192.0.2.1', '192.0.2.1', '10.77.0.1']) {
        await answers(g1, at, p1, 'g1 saw 10.77.0.1')
        await answers(g1, at, p2, 'g2 saw 10.77.0.1')
        await answers(g1, at, p3, 'g3 saw 10.77.4.1')
      }
      // The kernel knows better than to tell of the shorter way: it drops redirects about connections it translates.
      assert.match(g1.sh('nstat', '-asz', 'IcmpInRedirects'), /IcmpInRedirects +0 /)
    })

    test(`traffic: guests reach the outside, by the machine's address, and the machine itself (${bridged})`, async () => {
      await answers(g1, '192.0.2.2', 80, 'outside saw 192.0.2.1')
      await answers(g1, '10.77.0.1', 7777, 'host saw 10.77.0.2')
    })

    test(`traffic: who is denied can begin nothing but within its segment, and is reached as ever (${bridged})`, async () => {
      await silent(g3, '192.0.2.2', 80)
      await silent(g3, '10.77.4.1', 7777)
      await silent(g3, '192.0.2.1', 7777)
      await silent(g3, '192.0.2.1', p1)
      await silent(g3, '192.0.2.1', l4.ports[22]!)
      await answers(g3, l4.ip, 22, 'g4 saw 10.77.4.2')
      await answers(outside, '192.0.2.1', p3, 'g3 saw 192.0.2.2')
      await answers(host, '127.0.0.1', p3, 'g3 saw 10.77.4.1')
      await answers(host, l3.ip, 22, 'g3 saw 10.77.4.1')
      await update({ ...l3, denyOutgoing: false }, { ...l1, denyOutgoing: true })
      await answers(g3, '192.0.2.2', 53, 'outside saw 192.0.2.1')
      await silent(g1, '192.0.2.2', 53)
      await update(l3, l1)
      await silent(g3, '192.0.2.2', 53)
      await answers(g1, '192.0.2.2', 53, 'outside saw 192.0.2.1')
    })

    test(`traffic: guests of one segment reach each other, those of two do not, and nobody outside reaches an inner address (${bridged})`, async () => {
      outside.sh('ip', 'route', 'add', '10.77.0.0/16', 'via', '192.0.2.1')
      await answers(g1, l2.ip, 22, 'g2 saw 10.77.0.2')
      await answers(g3, l4.ip, 22, 'g4 saw 10.77.4.2')
      await silent(g1, l4.ip, 22)
      await silent(g4, l1.ip, 22)
      await silent(outside, l1.ip, 22)
      await answers(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2')
      outside.sh('ip', 'route', 'delete', '10.77.0.0/16')
    })
  }

  test("traffic: a guest does not reach what listens on the machine's 127.0.0.1", async () => {
    await answers(host, '127.0.0.1', 7778, 'host saw 127.0.0.1')
    // What a hostile kernel would do: no 127.0.0.1 of its own, and no fear of that address on the wire.
    g4.sh('ip', 'route', 'flush', 'table', 'local', 'dev', 'lo')
    g4.sh('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet')
    host.heard.length = 0
    await silent(g4, '127.0.0.1', 7778, l4.ip)
    assert.deepEqual(host.heard, [])
    await answers(g4, '10.77.4.1', 7777, 'host saw 10.77.4.3')
  })

  test("traffic: a guest cannot take another's address or another MAC", async () => {
    g1.sh('ip', 'address', 'add', '10.77.0.9/22', 'dev', 'eth0')
    await silent(g1, '192.0.2.2', 80, '10.77.0.9')
    await silent(g1, l2.ip, 22, '10.77.0.9')
    g1.sh('ip', 'address', 'delete', '10.77.0.9/22', 'dev', 'eth0')
    // Others must not learn it either: an announcement is dropped on its way in.
    g1.sh('ip', 'link', 'set', 'dev', 'eth0', 'address', l2.mac)
    await silent(g1, '10.77.0.1', 7777)
    await answers(outside, '192.0.2.1', p2, 'g2 saw 192.0.2.2')
    g1.sh('ip', 'link', 'set', 'dev', 'eth0', 'address', l1.mac)
    await answers(g1, '10.77.0.1', 7777, 'host saw 10.77.0.2')
  })

  test('traffic: a port that is taken away is dead at once, also for who was connected; a connection to a port that stays lives on', async () => {
    const both = ['tcp', 'udp'] as const
    const callers: [ReturnType<typeof peer> | typeof host, string, string][] = [
      [outside, '192.0.2.1', 'g1 saw 192.0.2.2'],
      [host, '127.0.0.1', 'g1 saw 10.77.0.1'],
    ]
    for (const [caller, at, answer] of callers)
      for (const [index, protocol] of both.entries()) {
        await caller.keep(index, { protocol, host: at, port: p1 })
        assert.equal(await caller.askKept(index, patienceMs), answer)
      }
    await outside.keep(9, { protocol: 'tcp', host: '192.0.2.1', port: p2 })
    assert.equal(await outside.askKept(9, patienceMs), 'g2 saw 192.0.2.2')

    const moved = l1.ports[22]! + 7000
    await update({ ...l1, ports: { 22: moved } }, { ...l4, ports: { 22: p1 } })
    for (const [caller] of callers) for (const index of both.keys()) assert.equal(await caller.askKept(index, silenceMs), 'nothing')
    await answers(outside, '192.0.2.1', p1, 'g4 saw 192.0.2.2')
    await answers(outside, '192.0.2.1', moved, 'g1 saw 192.0.2.2')
    assert.equal(await outside.askKept(9, patienceMs), 'g2 saw 192.0.2.2')
    await update(l1, l4)
    await answers(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2')

    await driver.reconcile([l1, l2, l3, l4])
    assert.equal(await outside.askKept(9, patienceMs), 'g2 saw 192.0.2.2')
    await driver[Symbol.asyncDispose]()
    const next = await on.driver()
    await next.reconcile([l1, l2, l3, l4])
    assert.equal(await outside.askKept(9, patienceMs), 'g2 saw 192.0.2.2')
    await silent(g3, '192.0.2.2', 80)
  })

  test("traffic: removing one link takes away its ports and nobody else's", async () => {
    const next = await on.driver()
    await next.change({ put: [], remove: [l2.id] })
    await silent(outside, '192.0.2.1', p2)
    await answers(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2')
    await answers(outside, '192.0.2.1', p3, 'g3 saw 192.0.2.2')
    await silent(g3, '192.0.2.2', 80)
    await answers(g1, '192.0.2.2', 80, 'outside saw 192.0.2.1')
  })
}

if (process.env.TT_TEST_PEER !== undefined) servePeer()
else await inNamespace(import.meta.url, suite)
