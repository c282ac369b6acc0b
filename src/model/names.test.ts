import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TtError } from './errors.ts'
import { checkEnvName, isImageName, macOf, matchesPrefix, parseVmId, parseVmName, shown } from './names.ts'

test('[B03] ENV names are letters, digits, - and _', () => {
  for (const good of ['demo', 'A', '0', 'a-b_c', 'x'.repeat(63)]) checkEnvName(good)
})

test('[B03] a bad ENV name is refused with the rule it breaks', () => {
  const why: [string, RegExp][] = [
    ['', /empty/],
    ['x'.repeat(200), /200 characters, 63 are allowed/],
    ['a/b', /contains "\/"/],
    ['..', /begin with/],
    ['-x', /begin with/],
    ['a.1', /contains "\."/],
    ['$(reboot)', /begin with/],
    ['a;b', /contains ";"/],
    ['a\nb', /contains "\\n"/],
    ['größe', /contains "ö"/],
  ]
  for (const [name, reason] of why) {
    assert.throws(() => checkEnvName(name), (error) => error instanceof TtError && error.code === 'invalid' && reason.test(error.message) && !error.message.includes('\n'))
  }
})

test('names of VMs and their ids', () => {
  assert.deepEqual(parseVmName('demo.3'), { env: 'demo', index: 3 })
  assert.equal(parseVmName('demo'), undefined)
  assert.equal(parseVmName('demo.03'), undefined)
  assert.equal(parseVmName('de.mo.3'), undefined)
  assert.deepEqual(parseVmId('k3f9x2.12'), { envUid: 'k3f9x2', index: 12 })
  assert.equal(parseVmId('../x.1'), undefined)
})

test('[C01] prefixes match without regard to case, with or without the engine', () => {
  const image = 'qemu:CentOS-7.2.qcow2:default'
  for (const prefix of ['cent', 'CENT', 'qemu:cent', 'QEMU:CentOS-7.2', image]) assert.ok(matchesPrefix(image, prefix), prefix)
  for (const prefix of ['ubuntu', 'entos', 'fire:cent']) assert.ok(!matchesPrefix(image, prefix), prefix)
  assert.ok(matchesPrefix('micro', 'mi'))
})

test('image names may be paths and variants, never ways out', () => {
  for (const good of ['micro', 'qemu:debian-12:small', 'github.com/ktmlm/alpine']) assert.ok(isImageName(good), good)
  for (const bad of ['', '../x', 'a//b', '/etc', 'a b', 'a/..', '.hidden', 'x'.repeat(256)]) assert.ok(!isImageName(bad), bad)
})

test('[E01] the last bytes of a MAC are those of the address', () => {
  assert.equal(macOf('10.77.3.255'), '52:54:00:4d:03:ff')
})

test('what is shown of a bad text is short and on one line', () => {
  assert.equal(shown('a\nb'), '"a\\nb"')
  assert.equal(shown('x'.repeat(100)).length, 43)
})
