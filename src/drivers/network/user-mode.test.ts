import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { TtError } from '../../model/errors.ts'
import { ground, linkOn } from './ground.ts'
import { networkContract, refusesOptions } from './network.contract.ts'
import { userMode } from './user-mode.ts'

await networkContract({ name: 'user-mode', factory: userMode })

const isTaken = (port: number) => (fault: unknown) =>
  fault instanceof TtError && fault.code === 'conflict' && fault.subject === `port/${port}` && /another program has it/.test(fault.message)

test('network user-mode: cards are those of QEMU and bind where they are told to', async () => {
  const on = ground(userMode)
  try {
    const driver = await on.driver()
    const link = linkOn(0, 0, { denyOutgoing: true })
    const [nic] = await driver.change({ put: [link], remove: [] })
    assert.deepEqual(nic, {
      kind: 'user',
      id: link.id,
      mac: link.mac,
      ip: '10.0.2.15',
      prefixLength: 24,
      gateway: '10.0.2.2',
      ports: link.ports,
      bind: '127.0.0.1',
      denyOutgoing: true,
    })
  } finally {
    await on.clear()
  }
})

test('network user-mode: a port that somebody has, by TCP or UDP, is refused and nothing of the change holds', async () => {
  const on = ground(userMode)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const tcpPort = (server.address() as AddressInfo).port
  const udpPort = socket.address().port
  try {
    const driver = await on.driver()
    await driver.change({ put: [linkOn(0, 0)], remove: [] })
    for (const port of [tcpPort, udpPort])
      await assert.rejects(driver.change({ put: [linkOn(0, 1), linkOn(0, 2, { ports: { 80: port } })], remove: ['network0.0'] }), isTaken(port))
    assert.deepEqual(await driver.inspect(), ['network0.0'])
    socket.close()
    await driver.change({ put: [linkOn(0, 2, { ports: { 80: udpPort } })], remove: [] })
  } finally {
    server.close()
    await on.clear()
  }
})

test('network user-mode: a port the link already has may be held by its own guest', async () => {
  const on = ground(userMode)
  const link = linkOn(0, 3)
  const port = link.ports[22]!
  const driver = await on.driver()
  await driver.change({ put: [link], remove: [] })
  const guest = createServer().listen(port, '127.0.0.1')
  try {
    await once(guest, 'listening')
    const nics = await driver.reconcile([{ ...link, denyOutgoing: true }])
    assert.deepEqual(nics[0]?.ports, { 22: port })
    await assert.rejects(driver.change({ put: [linkOn(0, 4, { ports: { 22: port } })], remove: [link.id] }), isTaken(port))
  } finally {
    guest.close()
    await on.clear()
  }
})

test('network user-mode: an address this machine has not makes it unusable, with the reason', async () => {
  const on = ground(userMode, { bind: '203.0.113.77' })
  try {
    const probe = await (await on.driver()).probe()
    assert.ok(!probe.usable && /203.0.113.77.*EADDRNOTAVAIL/.test(probe.why), JSON.stringify(probe))
  } finally {
    await on.clear()
  }
  await refusesOptions(userMode, { bind: 'localhost' }, /IP address/)
})
