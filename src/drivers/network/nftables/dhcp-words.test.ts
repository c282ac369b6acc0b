import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkOn, subnet } from '../ground.ts'
import { dhcpArgv, hostsFile, hostsText, resolversIn } from './dhcp-words.ts'

test('the server of addresses serves the bridges of one mark, knows no address by itself and each length of a slice', () => {
  const argv = dhcpArgv({ mark: 'abcde', subnet }, { hostsDir: '/x/hosts', user: 'nobody', resolvers: ['192.0.2.53'] })
  for (const word of [
    '--port=0',
    '--interface=ttabcdeb*',
    '--except-interface=lo',
    '--user=nobody',
    '--dhcp-lease-max=65536',
    '--dhcp-range=set:tt-abcde-dhcp,10.77.0.0,static,255.255.0.0,255.255.255.255,infinite',
    '--dhcp-option=tag:slice22,option:netmask,255.255.252.0',
    '--dhcp-option=tag:slice30,option:netmask,255.255.255.252',
    '--dhcp-option=option:dns-server,192.0.2.53',
    '--dhcp-hostsdir=/x/hosts',
  ])
    assert.ok(argv.includes(word), word)
  assert.ok(!dhcpArgv({ mark: 'abcde', subnet }, { hostsDir: '/x', user: 'nobody', resolvers: [] }).some((word) => word.includes('dns-server')))
})

test('who has which address on a slice, in the order of the addresses', () => {
  assert.equal(hostsFile('10.77.0.0/22'), '10.77.0.0-22')
  assert.equal(hostsText('10.77.0.0/22', [linkOn(0, 98), linkOn(0, 0)]), '52:54:00:4d:00:02,10.77.0.2,set:slice22\n52:54:00:4d:00:64,10.77.0.100,set:slice22\n')
})

test('guests ask the servers of names this machine asks, unless only it can reach them', () => {
  assert.deepEqual(resolversIn('# a\nsearch x\nnameserver 192.0.2.1\nnameserver  2001:db8::1\nnameserver 198.51.100.1 \nnameserver 192.0.2.2\nnameserver 192.0.2.3\n'), ['192.0.2.1', '198.51.100.1', '192.0.2.2'])
  assert.deepEqual(resolversIn('nameserver 127.0.0.53\nnameserver 0.0.0.0\noptions edns0\n'), [])
  assert.deepEqual(resolversIn(''), [])
})
