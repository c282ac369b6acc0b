import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { linkOn } from '../../src/drivers/network/ground.ts'
import { inNamespace } from '../../src/drivers/network/network.contract.ts'
import type { Link } from '../../src/drivers/network/network.ts'
import { answers, patienceMs, type Peer, sh, silenceMs, silent } from './players.ts'
import { trafficGround } from './traffic-ground.ts'

const [l1, l2, l3, l4] = [linkOn(0, 0), linkOn(0, 1), linkOn(1, 0), linkOn(1, 1)]
const both = ['tcp', 'udp'] as const

/** What guests may reach, with real packets: lists of what is denied, and peers. */
async function suite(): Promise<void> {
  const play = await trafficGround('network nftables: what guests reach', [l1, l2, l3, l4])
  if (!play) return
  after(() => play[Symbol.asyncDispose]())
  const { on, driver, host, outside, update } = play
  const [g1, g2, g3, g4] = play.guests as [Peer, Peer, Peer, Peer]
  const [p1 = 0, p2 = 0, p3 = 0] = [l1, l2, l3].map(({ ports }) => ports[22])
  const denying = (link: Link, ...deny: string[]): Link => ({ ...link, deny })

  /** Opens connections that stay, and sees that they work. */
  let lines = 0
  const keep = async (who: Pick<Peer, 'keep' | 'askKept'>, at: string, port: number, answer: string) => {
    const ids = [++lines, ++lines]
    for (const [index, protocol] of both.entries()) {
      await who.keep(ids[index] as number, { protocol, host: at, port })
      assert.equal(await who.askKept(ids[index] as number, patienceMs), answer, `${protocol} ${at}:${port}`)
    }
    return {
      lives: async () => {
        for (const id of ids) assert.equal(await who.askKept(id, patienceMs), answer, `the line to ${at}:${port} should live`)
      },
      isCut: async () => assert.deepEqual(await Promise.all(ids.map((id) => who.askKept(id, silenceMs))), ['nothing', 'nothing'], `the line to ${at}:${port} should be cut`),
    }
  }

  for (const filtered of ['0', '1']) {
    const bridged = `bridged packets filtered: ${filtered}`

    test(`[E15] reach: what is on the list of a guest it cannot call, all else it can, and who calls it from there is answered (${bridged})`, async () => {
      sh('sh', '-c', `echo ${filtered} > /proc/sys/net/bridge/bridge-nf-call-iptables`)
      await update(denying(l1, '192.0.2.0/24'))
      await silent(g1, '192.0.2.2', 80)
      await silent(g1, '192.0.2.1', 7777)
      await silent(g1, '192.0.2.1', p3)
      await answers(g1, '10.77.0.1', 7777, 'host saw 10.77.0.2')
      await answers(g1, '10.77.0.1', p3, 'g3 saw 10.77.4.1')
      await answers(g1, l2.ip, 22, 'g2 saw 10.77.0.2')
      await answers(g2, '192.0.2.2', 80, 'outside saw 192.0.2.1')
      await answers(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2')
      await update(denying(l1, '192.0.2.2', '198.51.100.0/24'))
      await silent(g1, '192.0.2.2', 80)
      await answers(g1, '192.0.2.1', 7777, 'host saw 10.77.0.2')
      await update(l1)
      await answers(g1, '192.0.2.2', 80, 'outside saw 192.0.2.1')
    })

    test(`[E15] reach: guests of one slice with the same list, with others and with none (${bridged})`, async () => {
      await update(denying(l3, '192.0.2.2'), denying(l4, '192.0.2.2'))
      await silent(g3, '192.0.2.2', 80)
      await silent(g4, '192.0.2.2', 80)
      await update(denying(l4, '192.0.2.1'))
      await silent(g3, '192.0.2.2', 80)
      await answers(g4, '192.0.2.2', 80, 'outside saw 192.0.2.1')
      await silent(g4, '192.0.2.1', 7777)
      await update(l4)
      await answers(g4, '192.0.2.1', 7777, 'host saw 10.77.4.3')
      await silent(g3, '192.0.2.2', 80)
      await update(l3, denying(l4, '0.0.0.0/0'))
      await silent(g4, '192.0.2.2', 80)
      await silent(g4, '10.77.4.1', 7777)
      await answers(g3, '192.0.2.2', 80, 'outside saw 192.0.2.1')
      await update(l4)
    })

    test(`[E15] reach: what is denied now is cut although it was open, by the guest only and with that address only (${bridged})`, async () => {
      const doomed = await keep(g1, '192.0.2.2', 80, 'outside saw 192.0.2.1')
      const hosts = await keep(g1, '10.77.0.1', 7777, 'host saw 10.77.0.2')
      const called = await keep(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2')
      const neighbours = await keep(g2, '192.0.2.2', 80, 'outside saw 192.0.2.1')
      await update(denying(l1, '192.0.2.0/24'))
      await doomed.isCut()
      for (const line of [hosts, called, neighbours]) await line.lives()
      await update({ ...denying(l1, '192.0.2.0/24', '10.77.0.1'), ports: { 22: p1, 80: p1 + 5000 } })
      await hosts.isCut()
      await called.lives()
      await update(l1)
    })

    test(`[E15] reach: a neighbour is denied by its own address; a prefix wider than the subnet does not speak of guests (${bridged})`, async () => {
      const line = await keep(g1, l2.ip, 22, 'g2 saw 10.77.0.2')
      await update(denying(l1, '10.0.0.0/8'))
      await line.lives()
      await silent(g1, '10.77.0.1', 7777)
      await answers(g1, '192.0.2.2', 80, 'outside saw 192.0.2.1')
      await update(denying(l1, '10.77.0.0/22'))
      await line.isCut()
      await silent(g1, l2.ip, 22)
      await silent(g2, l1.ip, 22)
      await answers(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2')
      await update(l1)
      await answers(g1, l2.ip, 22, 'g2 saw 10.77.0.2')
    })

    test(`[E07] reach: who is denied all is cut off from what it has open, and answers as before (${bridged})`, async () => {
      const doomed = [await keep(g1, '192.0.2.2', 80, 'outside saw 192.0.2.1'), await keep(g1, '10.77.0.1', 7777, 'host saw 10.77.0.2'), await keep(g1, '192.0.2.1', p3, 'g3 saw 10.77.4.1')]
      const kept = [await keep(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2'), await keep(host, l1.ip, 22, 'g1 saw 10.77.0.1'), await keep(g1, l2.ip, 22, 'g2 saw 10.77.0.2')]
      await update({ ...l1, denyOutgoing: true })
      for (const line of doomed) await line.isCut()
      for (const line of kept) await line.lives()
      await update(l1)
    })

    test(`[E14] reach: slices are peers if both say so, in both directions, denied guests too, and apart again at once (${bridged})`, async () => {
      const apart = async () => {
        await silent(g1, l3.ip, 22)
        await silent(g4, l2.ip, 22)
      }
      const [near, far] = [[l1, l2], [l3, l4]].map((links) => (peers: string[]) => links.map((link) => ({ ...link, peers })))
      await apart()
      await update(...near!([l3.slice]))
      await apart()
      await update(...far!([l1.slice]).map((link) => ({ ...link, denyOutgoing: true })))
      await answers(g1, l3.ip, 22, 'g3 saw 10.77.0.2')
      await answers(g4, l2.ip, 22, 'g2 saw 10.77.4.3')
      await silent(g4, '192.0.2.2', 80)
      const lines = [await keep(g1, l3.ip, 22, 'g3 saw 10.77.0.2'), await keep(g4, l2.ip, 22, 'g2 saw 10.77.4.3')]
      const others = [await keep(g1, l2.ip, 22, 'g2 saw 10.77.0.2'), await keep(g1, '192.0.2.1', p3, 'g3 saw 10.77.4.1')]
      await update(denying({ ...l1, peers: [l3.slice] }, l3.ip))
      await lines[0]!.isCut()
      await answers(g1, l4.ip, 22, 'g4 saw 10.77.0.2')
      await update({ ...l1, peers: [l3.slice] })
      await update(...near!([]))
      for (const line of lines) await line.isCut()
      for (const line of others) await line.lives()
      await apart()
      await update(l1, l2, l3, l4)
    })
  }

  test('[E14] reach: not even a packet that belongs to no connection gets from one slice to another', async () => {
    const counted = () => Number(/packets (\d+)/.exec(g4.sh('nft', 'list', 'chain', 'ip', 'look', 'in'))?.[1])
    g4.sh('nft', 'add table ip look; add chain ip look in { type filter hook prerouting priority -400; }; add rule ip look in ip saddr 10.77.0.2 counter')
    // A segment without any flag is part of nothing.
    g1.sh('nft', 'add table ip odd; add chain ip odd out { type filter hook output priority 0; }; add rule ip odd out ip daddr { 10.77.4.3, 192.0.2.2, 10.77.0.1 } tcp dport 22 tcp flags set 0x0')
    outside.sh('nft', 'add table ip look; add chain ip look in { type filter hook prerouting priority -400; }; add rule ip look in ip saddr 10.77.0.2 counter')
    for (const host of [l4.ip, '192.0.2.2']) await g1.ask({ protocol: 'tcp', host, port: 22 }, silenceMs)
    assert.equal(counted(), 0)
    assert.match(outside.sh('nft', 'list', 'chain', 'ip', 'look', 'in'), /packets 0 /, 'nor to the outside under its inner address')
    sh('nft', 'add table ip look; add chain ip look in { type filter hook input priority 100; }; add rule ip look in ip saddr 10.77.0.2 tcp dport 22 counter')
    const onHost = () => Number(/packets (\d+)/.exec(sh('nft', 'list', 'chain', 'ip', 'look', 'in'))?.[1])
    await update({ ...l1, denyOutgoing: true })
    await g1.ask({ protocol: 'tcp', host: '10.77.0.1', port: 22 }, silenceMs)
    assert.equal(onHost(), 0, 'nor to the machine, of who is denied')
    await update(l1)
    await g1.ask({ protocol: 'tcp', host: '10.77.0.1', port: 22 }, silenceMs)
    assert.ok(onHost() > 0, 'the play itself is wrong')
    sh('nft', 'delete', 'table', 'ip', 'look')
    outside.sh('ip', 'route', 'add', '10.77.0.0/16', 'via', '192.0.2.1')
    outside.sh('nft', 'add table ip odd; add chain ip odd out { type filter hook output priority 0; }; add rule ip odd out ip daddr 10.77.4.3 tcp dport 22 tcp flags set 0x0')
    g4.sh('nft', 'add rule ip look in ip saddr 192.0.2.2 counter')
    await outside.ask({ protocol: 'tcp', host: l4.ip, port: 22 }, silenceMs)
    assert.doesNotMatch(g4.sh('nft', 'list', 'chain', 'ip', 'look', 'in'), /packets [1-9]/, 'nor from the outside')
    outside.sh('ip', 'route', 'delete', '10.77.0.0/16')
    await update({ ...l1, peers: [l4.slice] }, { ...l4, peers: [l1.slice] })
    await g1.ask({ protocol: 'tcp', host: l4.ip, port: 22 }, silenceMs)
    assert.ok(counted() > 0, 'the play itself is wrong')
    for (const one of [g1, g4, outside]) one.sh('nft', 'flush', 'ruleset')
    await update(l1, l4)
  })

  test('fault 5: [E07 E15] reach: a guest that speaks from its first instant is not heard before it is allowed to', async () => {
    const [l5, l6] = [linkOn(2, 0, { denyOutgoing: true, ports: {} }), linkOn(2, 1, { deny: ['192.0.2.0/24'], ports: {} })]
    const eager = [play.stranger('g5'), play.stranger('g6')] as const
    for (const [at, port] of [53, 80].entries()) await eager[at]!.shout({ protocol: 'udp', host: '192.0.2.2', port })
    const heard = async () => [await outside.heardOn('udp', 53), await outside.heardOn('udp', 80)] as const
    const before = await heard()
    await driver.change({ put: [l5, l6], remove: [] })
    play.plug(eager[0], l5)
    play.plug(eager[1], l6)
    await new Promise((resolve) => setTimeout(resolve, 500))
    assert.deepEqual(await heard(), before)
    await update({ ...l5, denyOutgoing: false }, { ...l6, deny: [] })
    const bothSpeak = async () => (await heard()).every((count, at) => count > (before[at] ?? 0))
    for (let waitedMs = 0; !(await bothSpeak()); waitedMs += 50) {
      assert.ok(waitedMs < patienceMs, 'they were silent by themselves')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await driver.change({ put: [], remove: [l5.id, l6.id] })
  })

  test('fault 6: [E09] reach: what is denied, who are peers and what is open outlive the server', async () => {
    const links = [denying({ ...l1, peers: [l3.slice] }, '192.0.2.2'), { ...l2, peers: [l3.slice] }, { ...l3, peers: [l1.slice], denyOutgoing: true }, { ...l4, peers: [l1.slice] }]
    await update(...links)
    const lines = [await keep(g1, l3.ip, 22, 'g3 saw 10.77.0.2'), await keep(outside, '192.0.2.1', p2, 'g2 saw 192.0.2.2')]
    const holds = async () => {
      await silent(g1, '192.0.2.2', 80)
      await silent(g3, '192.0.2.2', 80)
      await silent(g3, '192.0.2.1', 7777)
      for (const line of lines) await line.lives()
      await answers(g4, '192.0.2.2', 80, 'outside saw 192.0.2.1')
    }
    await holds()
    await driver[Symbol.asyncDispose]()
    await holds()
    const next = await on.driver()
    await next.reconcile(links)
    await holds()
  })
}

await inNamespace(import.meta.url, suite)
