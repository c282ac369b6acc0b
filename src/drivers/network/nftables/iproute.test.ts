import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bridgeCommands, explainIp, raiseCommand, removeCommands, tapCommands } from './iproute.ts'

const bridge = { address: '10.77.0.1/22', mac: '52:54:00:4d:00:01', up: true }
const tap = { bridge: 'ttabcdeb1', up: true, owner: 4242 }

test('the commands for bridges and taps', () => {
  assert.deepEqual(bridgeCommands({ name: 'ttabcdeb1', bridge, make: true }, true), [
    'link add name ttabcdeb1 type bridge stp_state 0 forward_delay 0 mcast_snooping 0',
    'link set dev ttabcdeb1 address 52:54:00:4d:00:01 addrgenmode none up',
    'address replace 10.77.0.1/22 dev ttabcdeb1',
  ])
  assert.deepEqual(bridgeCommands({ name: 'ttabcdeb1', bridge, make: false }, false), [
    'address flush dev ttabcdeb1',
    'link set dev ttabcdeb1 address 52:54:00:4d:00:01 up',
    'address replace 10.77.0.1/22 dev ttabcdeb1',
  ])
  assert.deepEqual(tapCommands({ name: 'ttabcdet2', tap, make: true }, true), [
    'tuntap add dev ttabcdet2 mode tap user 4242',
    'link set dev ttabcdet2 master ttabcdeb1 addrgenmode none',
  ])
  assert.deepEqual(tapCommands({ name: 'ttabcdet2', tap: { bridge: 'ttabcdeb1', up: true }, make: true }, false), [
    'tuntap add dev ttabcdet2 mode tap',
    'link set dev ttabcdet2 master ttabcdeb1',
  ])
  assert.deepEqual(tapCommands({ name: 'ttabcdet2', tap, make: false }, false), ['link set dev ttabcdet2 master ttabcdeb1'])
  assert.equal(raiseCommand('ttabcdet2'), 'link set dev ttabcdet2 up type bridge_slave hairpin on')
})

test('one interface is removed by itself, several as a group whose number is never in a part with anything else', () => {
  assert.deepEqual(removeCommands(['x'], 9), [['link delete dev x']])
  assert.deepEqual(removeCommands(['x', 'y'], 9), [['link set dev x group 9', 'link set dev y group 9'], ['link delete group 9']])
  const many = removeCommands(Array.from({ length: 1201 }, (_, at) => `x${at}`), 9)
  assert.deepEqual(
    many.map((part) => part.length),
    [500, 1, 500, 1, 201, 1],
  )
  assert.equal(new Set(many.flat().filter((line) => line.startsWith('link set'))).size, 1201)
})

test('what ip complains about, in one line', () => {
  const line = (number: number) => (number === 7 ? 'link set dev x up' : undefined)
  assert.equal(explainIp('Cannot find device "x"\nCommand failed -:7\nCannot find device "y"\nCommand failed -:8\n', line), 'ip: Cannot find device "x" at "link set dev x up"')
  assert.equal(explainIp('RTNETLINK answers: File exists\nCommand failed -:3\n', line), 'ip: RTNETLINK answers: File exists')
  assert.equal(explainIp('out of luck', line), 'ip: out of luck')
})
