import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clashes, parseRoutes, readRoutes, routeText } from './routes.ts'

/** As iproute2 6.1 answers. */
const json = JSON.stringify([
  { dst: 'default', gateway: '192.0.2.1', dev: 'eth0', flags: [] },
  { dst: '192.0.2.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '192.0.2.2', flags: [] },
  { dst: '10.0.0.0/8', gateway: '192.0.2.9', dev: 'tun0', flags: [] },
  { dst: '10.77.4.0/22', dev: 'ttabcdeb1', flags: ['linkdown'] },
  { type: 'blackhole', dst: '10.77.128.0/17', flags: [] },
  { type: 'local', dst: '10.77.5.5', dev: 'eth0', table: 'local', flags: [] },
  { type: 'multicast', flags: [] },
])

test('routes are read, and told as ip tells them', () => {
  assert.deepEqual(parseRoutes(json).map(routeText), [
    '0.0.0.0/0 via 192.0.2.1 dev eth0',
    '192.0.2.0/24 dev eth0',
    '10.0.0.0/8 via 192.0.2.9 dev tun0',
    '10.77.4.0/22 dev ttabcdeb1',
    'blackhole 10.77.128.0/17',
    'local 10.77.5.5 dev eth0',
  ])
})

test('a route around, within or equal to the subnet clashes; the default, ours and those beside it do not', () => {
  const routes = parseRoutes(json)
  const of = (subnet: string) => clashes(routes, subnet, (dev) => dev.startsWith('ttabcde')).map(({ to }) => to)
  assert.deepEqual(of('10.77.0.0/16'), ['10.0.0.0/8', '10.77.128.0/17', '10.77.5.5'])
  assert.deepEqual(of('192.0.2.128/25'), ['192.0.2.0/24'])
  assert.deepEqual(of('192.0.0.0/16'), ['192.0.2.0/24'])
  assert.deepEqual(of('172.16.0.0/12'), [])
  assert.deepEqual(clashes(routes.slice(3, 4), '10.77.0.0/16').length, 1)
  assert.throws(() => clashes(routes, 'ten'), /no range/)
})

test('this machine has at least a way to itself', async () => {
  assert.ok((await readRoutes()).every(({ to, type }) => to !== '' && type !== ''))
})
