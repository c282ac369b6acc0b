import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { TtError } from '../../../model/errors.ts'
import type { Nic, Plan } from '../../../model/plan.ts'
import { argv, type Machine } from './argv.ts'
import { checked } from './check.ts'
import { userNet } from './cmdline.ts'

const machine: Machine = { accel: 'tcg', tscKhz: 2_596_126, name: 'tt-abcde-demo.0-00112233' }
const tap: Nic = { kind: 'tap', tap: 'ttabcde-0', id: 'demo.0', mac: '52:54:00:4d:00:02', ip: '10.77.0.2', prefixLength: 24, gateway: '10.77.0.1', mtu: 1450, ports: {} }
const user: Nic = { kind: 'user', bind: '127.0.0.1', denyOutgoing: true, id: 'demo.0', mac: '52:54:00:00:02:0f', ip: '10.0.2.15', prefixLength: 24, gateway: '10.0.2.2', ports: { 22: 40_022, 80: 40_080 } }
const micro: Plan = {
  id: 'demo.0',
  hostname: 'demo-0',
  cpu: 2,
  memMb: 128,
  arch: 'amd64',
  boot: 'kernel',
  files: { kernel: '/images/micro/vmlinux', initrd: '/images/micro/initrd' },
  cmdline: 'root=/dev/vda rw',
  disks: [{ path: '/volumes/demo.0, odd "name".qcow2', format: 'qcow2', sizeBytes: 1 << 30 }],
  nics: [tap],
  ports: ['tt.agent'],
  uid: 200_001,
  options: {},
}
const demoOs: Plan = { ...micro, id: 'demo.1', hostname: 'demo-1', cpu: 1, memMb: 16, files: { kernel: '/images/demo-os/demo-os' }, cmdline: '', disks: [], nics: [], ports: [], options: { machine: { acpi: false, pit: true, pic: true } } }
const debian: Plan = {
  ...micro,
  id: 'demo.2',
  hostname: 'demo-2',
  boot: 'disk',
  files: {},
  cmdline: undefined,
  disks: [
    { path: '/dev/vg/demo.2', format: 'raw', sizeBytes: 1 << 30 },
    { path: '/images/seed.iso', format: 'raw', sizeBytes: 1 << 20, readOnly: true },
  ],
  options: { cache: 'direct', cpuModel: 'Nehalem,+aes' },
}

const golden: Record<string, [Plan, Machine]> = {
  'microvm-tap': [micro, machine],
  'microvm-user': [{ ...micro, nics: [user], uid: undefined }, machine],
  'microvm-two-nics': [{ ...micro, nics: [{ ...user, denyOutgoing: false }, { kind: 'none', id: 'x', mac: '', ip: '', prefixLength: 0, gateway: '', ports: {} }, tap] }, machine],
  'microvm-kvm': [micro, { ...machine, accel: 'kvm' }],
  'demo-os': [demoOs, machine],
  'q35-disk': [debian, { ...machine, blockDevices: new Set(['/dev/vg/demo.2']) }],
  'q35-seed': [{ ...debian, seed: { 'meta-data': 'instance-id: a\n', 'user-data': '#cloud-config\n' } }, machine],
  'q35-window': [{ ...debian, seed: { 'meta-data': 'instance-id: a\n' }, window: true }, machine],
  'q35-kernel': [{ ...micro, options: { machine: { type: 'q35' }, cache: 'unsafe' } }, machine],
  // An accelerator is for guests of the host's own processor.
  ...Object.fromEntries((['arm64', 'armhf', 'mips64el', 'mipsel', 'ppc64el', 'riscv64', 's390x'] as const).map((arch) => [`arch-${arch}`, [{ ...micro, arch, cpu: 1, window: true }, { ...machine, accel: 'kvm' }]] as const)),
  'arch-i386': [{ ...micro, arch: 'i386' }, { ...machine, accel: 'kvm' }],
  'arch-sparc': [{ ...demoOs, arch: 'sparc', memMb: 32, options: {}, nics: [tap] }, machine],
}

for (const [name, [plan, on]] of Object.entries(golden))
  test(`argv: ${name}`, () => {
    const file = fileURLToPath(new URL(`golden/${name}.txt`, import.meta.url))
    const text = `${argv(checked(plan), on).join('\n').replaceAll(/\n(?!-)/g, ' ')}\n`
    if (process.env['TT_GOLDEN'] === 'write') writeFileSync(file, text)
    assert.equal(text, readFileSync(file, 'utf8'))
  })

const broken: Record<string, [Partial<Plan>, RegExp]> = {
  'an id that is none': [{ id: '../demo' }, /no id/],
  'a host name with a blank': [{ hostname: 'demo init=/bin/sh' }, /no host name/],
  'no processor': [{ cpu: 0 }, /0/],
  'half a processor': [{ cpu: 1.5 }, /1\.5/],
  'a billion processors': [{ cpu: 1e9 }, /255/],
  'no memory': [{ memMb: 0 }, /0 MB/],
  'no kernel': [{ files: {} }, /has none/],
  'no disk to boot': [{ boot: 'disk', disks: [] }, /has none/],
  'a relative path': [{ files: { kernel: 'vmlinux' } }, /absolute/],
  'a path with a line end': [{ files: { kernel: '/a\n-monitor' } }, /absolute/],
  'a command line of two lines': [{ cmdline: 'a\nb' }, /one line/],
  'a command line that is too long': [{ cmdline: 'x'.repeat(2000) }, /2047/],
  'a port with a comma': [{ ports: ['a,nr=1'] }, /port/],
  'a port twice': [{ ports: ['a', 'a'] }, /different/],
  'a tap with a comma': [{ nics: [{ ...tap, tap: 'a,script=x' }] }, /interface/],
  'a MAC that is none': [{ nics: [{ ...tap, mac: '52:54:00:4d:00' }] }, /MAC/],
  'an address with words': [{ nics: [{ ...tap, ip: '10.77.0.2 init=/x' }] }, /IPv4/],
  'a bind address of IPv6': [{ nics: [{ ...user, bind: '::1' }] }, /IPv4/],
  'a public port out of range': [{ nics: [{ ...user, ports: { 80: 70_000 } }] }, /70000/],
  'more disks than places': [{ disks: Array.from({ length: 30 }, (_, at) => ({ path: `/d${at}`, format: 'raw' as const, sizeBytes: 1 })) }, /21 disks/],
  'a seed with a path': [{ seed: { '../meta-data': '' } }, /seed/],
  'a seed without files': [{ seed: {} }, /seed/],
  'a seed that is too long': [{ seed: { 'user-data': 'x'.repeat(1 << 20), 'meta-data': 'x' } }, /1 MiB/],
  'more disks than places beside the seed': [{ seed: { 'meta-data': '' }, disks: Array.from({ length: 21 }, (_, at) => ({ path: `/d${at}`, format: 'raw' as const, sizeBytes: 1 })) }, /20 disks/],
  'root as its user': [{ uid: 0 }, /0 is no user/],
  'an unknown option': [{ options: { cpumodel: 'max' } }, /cpumodel is none/],
  'an unknown part of the machine': [{ options: { machine: { usb: true } } }, /machine.usb is none/],
  'a part that is a text': [{ options: { machine: { acpi: 'off' } } }, /machine.acpi is "off", allowed is true or false/],
  'an unknown machine': [{ options: { machine: { type: 'pc' } } }, /machine.type is "pc"/],
  'a machine that is a text': [{ options: { machine: 'q35' } }, /machine is "q35"/],
  'parts of a microvm for a q35': [{ options: { machine: { type: 'q35', acpi: false } } }, /machine.acpi/],
  'a microvm that boots a disk': [{ boot: 'disk', options: { machine: { type: 'microvm' } } }, /firmware/],
  'a screen for a microvm': [{ options: { vnc: true } }, /screen/],
  'a PC for a processor that is none': [{ arch: 'arm64', options: { machine: { type: 'q35' } } }, /machine is for amd64 and i386/],
  'a screen for a board that has none': [{ arch: 's390x', options: { vnc: true } }, /vnc is for amd64/],
  'more processors than the board has': [{ arch: 'mipsel', cpu: 2 }, /1 processor, not 2.*malta/],
  'more memory than the board has': [{ arch: 'armhf', cpu: 1, memMb: 4096 }, /64 to 3072 MB of memory, not 4096/],
  'less memory than the firmware wants': [{ ...demoOs, arch: 'sparc', options: {} }, /32 to 256 MB of memory, not 16/],
  'a longer command line than the processor takes': [{ arch: 's390x', cpu: 1, cmdline: 'x'.repeat(900) }, /895/],
  'more disks than the board has places': [{ arch: 'mips64el', cpu: 1, disks: Array.from({ length: 8 }, (_, at) => ({ path: `/d${at}`, format: 'raw' as const, sizeBytes: 1 })) }, /6 disks/],
  'a disk on a board without virtio': [{ arch: 'sparc', cpu: 1 }, /no disk and no agent/],
  'a cache that is none': [{ options: { cache: 'none' } }, /writeback.*direct.*unsafe/],
  'a processor with a blank': [{ options: { cpuModel: 'max -monitor stdio' } }, /cpuModel/],
}

for (const [what, [change, says]] of Object.entries(broken))
  test(`a plan with ${what} is refused`, () =>
    assert.throws(
      () => argv(checked({ ...micro, ...change }), machine),
      (fault) => fault instanceof TtError && fault.code === 'invalid' && says.test(fault.message),
    ))

test('a saved state is unsupported', () =>
  assert.throws(() => checked({ ...micro, from: { dir: '/x', engine: 'qemu', version: '7' } }), { code: 'unsupported' }))

test('a disk with a boot loader is unsupported where there is no firmware for it', () =>
  assert.throws(() => checked({ ...micro, arch: 'arm64', boot: 'disk', options: {} }), (fault) => fault instanceof TtError && fault.code === 'unsupported' && /arm64 starts from a kernel/.test(fault.message)))

test('the network of a user-mode card', () => {
  assert.deepEqual(userNet(user), { network: '10.0.2.0/24', dns: '10.0.2.3' })
  assert.deepEqual(userNet({ ...user, ip: '192.168.200.130', prefixLength: 25 }), { network: '192.168.200.128/25', dns: '192.168.200.131' })
})
