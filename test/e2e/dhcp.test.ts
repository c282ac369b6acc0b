import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { processesWith } from '../../src/base/processes.ts'
import { linkOn } from '../../src/drivers/network/ground.ts'
import { inNamespace } from '../../src/drivers/network/network.contract.ts'
import type { Link } from '../../src/drivers/network/network.ts'
import { answers, patienceMs, type Peer, silenceMs, silent } from './players.ts'
import { trafficGround } from './traffic-ground.ts'

const [l1, l2, l3, l4] = [linkOn(0, 0), linkOn(0, 1, { denyOutgoing: true }), linkOn(1, 0, { deny: ['10.0.0.0/8', '10.77.0.0/16'] }), { ...linkOn(3, 1), slice: '10.77.12.0/28' }]

/** Guests that do not know their addresses ask for them, with a real client. */
async function suite(): Promise<void> {
  if (spawnSync('busybox', ['udhcpc', '--help']).status === null) {
    test('network nftables: DHCP', { skip: 'busybox is not installed, whose DHCP client asks' }, () => undefined)
    return
  }
  const play = await trafficGround('network nftables: DHCP', [])
  if (!play) return
  const { on, driver, outside } = play
  after(() => play[Symbol.asyncDispose]())
  if (!driver.features.dhcp) {
    test('network nftables: DHCP', { skip: (await driver.findings?.())?.[0]?.message ?? 'no reason was given' }, () => undefined)
    return
  }
  // What a client that was answered does: it says what it got, and takes it.
  const script = join(on.dir, 'script')
  writeFileSync(script, '#!/bin/sh\n[ "$1" = bound ] || exit 0\necho "got $ip/$mask by $router"\nip address add "$ip/$mask" dev eth0\nip route add default via "$router"\n')
  chmodSync(script, 0o755)
  const ask = (guest: Peer, ...more: string[]) => {
    const said = spawnSync('nsenter', ['--net', '--target', String(guest.pid), 'busybox', 'udhcpc', '-i', 'eth0', '-f', '-q', '-n', '-t', '4', '-T', '1', '-s', script, ...more], { encoding: 'utf8' })
    return /^got .*$/m.exec(said.stdout)?.[0] ?? 'nothing'
  }
  const plugged = async (name: string, link: Link) => {
    const guest = play.stranger(name)
    await guest.listen(22) // It is in its own network namespace then.
    play.plug(guest, link, { bare: true })
    for (const dev of ['lo', 'eth0']) guest.sh('ip', 'link', 'set', 'dev', dev, 'up')
    return guest
  }
  const servers = () => processesWith(`tt-${on.mark}-dhcp`)
  const waitFor = async (what: string, is: () => boolean) => {
    for (let tries = 0; !is(); tries++) {
      assert.ok(tries < 200, what)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  await driver.change({ put: [l1, l2, l3, l4], remove: [] })
  const [g1, g2, g3, g4] = [await plugged('g1', l1), await plugged('g2', l2), await plugged('g3', l3), await plugged('g4', l4)]

  test('[E01] DHCP: who asks gets exactly its address, with the mask and gateway of its slice, however much it is denied', async () => {
    assert.equal(ask(g1), 'got 10.77.0.2/22 by 10.77.0.1')
    assert.equal(ask(g2), 'got 10.77.0.3/22 by 10.77.0.1')
    assert.equal(ask(g3), 'got 10.77.4.2/22 by 10.77.4.1')
    assert.equal(ask(g4), 'got 10.77.12.3/28 by 10.77.12.1')
    // Again and by its address, as when a lease is to last longer.
    for (const [guest, link, gateway] of [[g2, l2, '10.77.0.1'], [g3, l3, '10.77.4.1']] as const) assert.equal(await guest.inform(link.mac, link.ip, gateway, patienceMs), 'an answer')
    await answers(g1, '192.0.2.2', 80, 'outside saw 192.0.2.1')
    await silent(g2, '192.0.2.2', 80)
    await silent(g3, '10.77.4.1', 7777)
  })

  test('DHCP: it asks again, as after its own restart, and gets the same', () => {
    g1.sh('ip', 'address', 'flush', 'dev', 'eth0')
    assert.equal(ask(g1, '-r', '10.77.0.3'), 'got 10.77.0.2/22 by 10.77.0.1')
  })

  test('[E01] DHCP: nobody gets the address of another, neither under its MAC nor by asking for it, and a stranger gets none', async () => {
    g1.sh('ip', 'link', 'set', 'dev', 'eth0', 'address', l2.mac)
    assert.equal(ask(g1), 'nothing')
    g1.sh('ip', 'link', 'set', 'dev', 'eth0', 'address', l1.mac)
    // Under its own MAC, and asking as another inside: a server goes by the latter.
    assert.equal(await g1.inform(l1.mac, l1.ip, '10.77.0.1', patienceMs), 'an answer')
    assert.equal(await g1.inform(l2.mac, l1.ip, '10.77.0.1', silenceMs), 'nothing')
  })

  test('DHCP: the server has given up its rights, serves nobody outside, and is no resolver', () => {
    const [{ pid } = { pid: 0 }, ...more] = servers()
    assert.deepEqual(more, [])
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    assert.doesNotMatch(status, /^Uid:\s+0/m)
    const netAdmin = 1n << 12n
    assert.equal(BigInt(`0x${/^CapEff:\s*(\S+)/m.exec(status)?.[1]}`) & ~netAdmin, 0n)
    outside.sh('ip', 'address', 'flush', 'dev', 'eth0')
    assert.equal(ask(outside), 'nothing')
    outside.sh('ip', 'address', 'add', '192.0.2.2/24', 'dev', 'eth0')
    assert.doesNotMatch(execFileSync('ss', ['-lnup'], { encoding: 'utf8' }), /:53\s/)
  })

  test('DHCP: one that comes later is known without a restart, one that went is not any more', async () => {
    const [server] = servers()
    const l5 = linkOn(0, 7)
    await driver.change({ put: [l5], remove: [] })
    const g5 = await plugged('g5', l5)
    assert.equal(ask(g5), 'got 10.77.0.9/22 by 10.77.0.1')
    await driver.change({ put: [], remove: [l5.id] })
    assert.doesNotMatch(readFileSync(join(on.dir, 'dhcp/hosts/10.77.0.0-22'), 'utf8'), /10\.77\.0\.9/)
    assert.equal(servers()[0]?.pid, server?.pid)
  })

  test('DHCP: a server that died is started again, and a new life of ours finds the one that runs', async () => {
    const [first] = servers()
    process.kill(first!.pid, 'SIGKILL')
    await waitFor('it was not started again', () => servers().some(({ pid }) => pid !== first!.pid))
    assert.equal(ask(g2), 'got 10.77.0.3/22 by 10.77.0.1')
    const [second] = servers()
    await driver[Symbol.asyncDispose]()
    assert.deepEqual(servers().map(({ pid }) => pid), [second?.pid], 'guests need it while no server of ours runs')
    const next = await on.driver()
    await next.reconcile([l1, l2, l4])
    assert.deepEqual(servers().map(({ pid }) => pid), [second?.pid])
    assert.deepEqual(await next.leaks?.([l1, l2, l4]), [])
    assert.deepEqual((await next.leaks?.([]))?.filter(({ kind }) => kind === 'process').map(({ subject }) => subject), [String(second?.pid)])
    await next.reconcile([])
    assert.deepEqual(servers(), [], 'with the last link it goes')
    assert.ok(!existsSync(join(on.dir, 'dhcp')))
  })
}

await inNamespace(import.meta.url, suite)
