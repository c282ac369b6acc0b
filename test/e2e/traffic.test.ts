import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Effect, type Effects, plainEffects } from '../../src/base/effects.ts'
import { type Ground, linkOn } from '../../src/drivers/network/ground.ts'
import { inNamespace } from '../../src/drivers/network/network.contract.ts'
import { tapOf } from '../../src/drivers/network/nftables/names.ts'
import { answers, patienceMs, type Peer, sh, silenceMs, silent } from './players.ts'
import { trafficGround } from './traffic-ground.ts'

const [l1, l2, l3, l4] = [linkOn(0, 0), linkOn(0, 1), linkOn(1, 0, { denyOutgoing: true }), linkOn(1, 1)]

async function suite(): Promise<void> {
  const loose: string[] = []
  const watching = (on: Ground): Effects => {
    const calm = plainEffects()
    return {
      get count() {
        return calm.count
      },
      act(effect, run) {
        const did = calm.act(effect, run)
        return did instanceof Promise ? (did.finally(() => look(on.mark, effect)) as typeof did) : did
      },
    }
  }
  /** Whether a tap that is up has a guest that is not denied though it should be. */
  const look = (mark: string, { kind, verb }: Effect) => {
    if (sh('nft', 'list', 'tables').includes(`ip tt_${mark}\n`) && sh('nft', 'list', 'set', 'ip', `tt_${mark}`, 'deny_out').includes(l3.ip)) return
    if (sh('ip', '-br', 'link', 'show', 'up').includes(tapOf(mark, l3.ip))) loose.push(`${verb} ${kind}`)
  }
  const play = await trafficGround('network nftables: traffic', [l1, l2, l3, l4], watching)
  if (!play) return
  after(() => play[Symbol.asyncDispose]())
  const { on, driver, host, outside, update } = play
  const [g1, , g3, g4] = play.guests as [Peer, Peer, Peer, Peer]
  const [p1 = 0, p2 = 0, p3 = 0] = [l1, l2, l3].map(({ ports }) => ports[22])

  test('fault 5: [E07] traffic: the rule that denies is there before the tap is up', () => {
    assert.deepEqual(loose, [])
  })

  // Off as on most machines; on as on those with Docker, and in every new namespace.
  for (const filtered of ['0', '1']) {
    const bridged = `bridged packets filtered: ${filtered}`
    test(`[E04] traffic: a public port leads to its guest from outside, from the machine itself and by 127.0.0.1 (${bridged})`, async () => {
      sh('sh', '-c', `echo ${filtered} > /proc/sys/net/bridge/bridge-nf-call-iptables`)
      await answers(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2')
      await answers(outside, '192.0.2.1', p2, 'g2 saw 192.0.2.2')
      await answers(host, '192.0.2.1', p1, 'g1 saw 192.0.2.1')
      await answers(host, '127.0.0.1', p1, 'g1 saw 10.77.0.1')
      await answers(host, l1.ip, 22, 'g1 saw 10.77.0.1')
      await silent(outside, '192.0.2.1', 22)
    })

    test(`[E04] traffic: guests reach public ports, their own too, again and again (${bridged})`, async () => {
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

    test(`[E07] traffic: who is denied can begin nothing but within its segment, and is reached as ever (${bridged})`, async () => {
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

    test(`[E14] traffic: guests of one segment reach each other, those of two do not, and nobody outside reaches an inner address (${bridged})`, async () => {
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

  test("[E01] traffic: a guest cannot take another's address or another MAC", async () => {
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

  test('[E06 E09] traffic: a port that is taken away is dead at once, also for who was connected; a connection to a port that stays lives on', async () => {
    const both = ['tcp', 'udp'] as const
    const callers: [Peer | typeof host, string, string][] = [
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

    await g1.stream(23)
    await update({ ...l1, ports: { 22: p1, 23: p1 + 6000 } })
    for (const [index, protocol] of both.entries()) {
      await outside.keep(20 + index, { protocol, host: '192.0.2.1', port: p1 + 6000 })
      assert.equal(await outside.askKept(20 + index, patienceMs), 'g1 goes on')
    }

    const moved = l1.ports[22]! + 7000
    await update({ ...l1, ports: { 22: moved } }, { ...l4, ports: { 22: p1 } })
    for (const [caller] of callers) for (const index of both.keys()) assert.equal(await caller.askKept(index, silenceMs), 'nothing')
    // Nor does the guest itself go on speaking to who came by it; what was on its way comes still.
    for (const index of both.keys()) await outside.askKept(20 + index, silenceMs)
    for (const index of both.keys()) assert.equal(await outside.askKept(20 + index, silenceMs), 'nothing')
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

  test("fault 23: [E10] traffic: removing one link takes away its ports and nobody else's", async () => {
    const next = await on.driver()
    await next.change({ put: [], remove: [l2.id] })
    await silent(outside, '192.0.2.1', p2)
    await answers(outside, '192.0.2.1', p1, 'g1 saw 192.0.2.2')
    await answers(outside, '192.0.2.1', p3, 'g3 saw 192.0.2.2')
    await silent(g3, '192.0.2.2', 80)
    await answers(g1, '192.0.2.2', 80, 'outside saw 192.0.2.1')
  })
}

await inNamespace(import.meta.url, suite)
