import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseNetDevices, readNetDevices } from './net-devices.ts'

/** As iproute2 6.1 answers. */
const json = JSON.stringify([
  { ifindex: 1, ifname: 'lo', flags: ['LOOPBACK', 'UP', 'LOWER_UP'], group: '0', address: '00:00:00:00:00:00', addr_info: [{ family: 'inet', local: '127.0.0.1', prefixlen: 8 }, { family: 'inet6', local: '::1', prefixlen: 128 }] },
  { ifindex: 3, ifname: 'tap7', flags: ['NO-CARRIER', 'BROADCAST'], master: 'br7', group: '1895825408', address: '6e:64:fe:93:19:bf', addr_info: [] },
  {},
])

test('interfaces are read', () => {
  assert.deepEqual(parseNetDevices(json), [
    { name: 'lo', up: true, group: 0, mac: '00:00:00:00:00:00', addresses: ['127.0.0.1/8'] },
    { name: 'tap7', up: false, master: 'br7', group: 1_895_825_408, mac: '6e:64:fe:93:19:bf', addresses: [] },
  ])
})

test('this machine has its loopback', async () => {
  assert.ok((await readNetDevices()).some(({ name }) => name === 'lo'))
})
