import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnvAsked, EnvSpec, FullGroup } from '../model/env.ts'
import { TtError } from '../model/errors.ts'
import { countVms, nothing } from '../model/expand.ts'
import type { ImageSpec } from '../model/image.ts'
import type { HostRecord } from '../model/records.ts'
import { admit, checkedSpec, checkQuota, defaultLimits } from './admission.ts'
import { resolved } from './groups.ts'

const image = (more: Partial<ImageSpec> = {}): ImageSpec => ({ engines: ['qemu'], digest: 'd', arch: 'amd64', ways: ['rexec'], features: [], cpu: 1, memMb: 128, diskMb: 1024, ports: [22], sizeBytes: 1, ...more })
const images = new Map([
  ['micro', image()],
  ['qemu:CentOS-7.2', image()],
  ['qemu:CentOS-7.3', image()],
  ['qemu:ubuntu2004', image()],
  ['demo-os', image({ memMb: 16, diskMb: 0, ports: [] })],
])
const broken = new Map([['qemu:junk', 'it is neither qcow2 nor a raw disk with a boot sector']])
const resolve = (asked: EnvAsked): EnvSpec => resolved(checkedSpec(asked, 'env/demo'), images, { limits: defaultLimits, broken, subject: 'env/demo' })
const groups = (asked: EnvAsked) => resolve(asked).groups as FullGroup[]
test('[G05] what is no VM cannot be taken out, and is named', () => {
  const kept = resolve({ groups: [{ image: 'micro', count: 3 }], kicked: [1, 1] })
  assert.deepEqual([kept.kicked, countVms(kept)], [[1], 2])
  const error = refusal(() => resolve({ groups: [{ image: 'micro', count: 3 }], kicked: [1, 7] }))
  assert.deepEqual([error.code, error.message], ['not_found', 'it has no VM 7 to take out'])
})

const refusal = (asked: () => unknown): TtError => {
  try {
    asked()
  } catch (error) {
    if (error instanceof TtError) return error
    throw error
  }
  throw new assert.AssertionError({ message: 'it was not refused' })
}

test('[B01 C02] a prefix makes one group per image, in order, with indices that follow', () => {
  assert.deepEqual(groups({ groups: [{ prefix: 'cent', count: 2 }, { prefix: 'ubuntu2004' }] }).map(({ image: name, first, count }) => [name, first, count]), [['qemu:CentOS-7.2', 0, 2], ['qemu:CentOS-7.3', 2, 2], ['qemu:ubuntu2004', 4, 1]])
})

test('[C03] two prefixes that match one image make it once', () => {
  assert.equal(groups({ groups: [{ prefix: 'mic' }, { prefix: 'micro' }] }).length, 1)
})

test('[C09] sizes are the asked ones, else the image, and ports are joined', () => {
  const [group] = groups({ groups: [{ prefix: 'micro', memMb: 256, ports: [80, 22] }] })
  assert.deepEqual([group?.cpu, group?.memMb, group?.diskMb, group?.ports], [1, 256, 1024, [22, 80]])
})

test('[C06] an exact name never picks a longer one', () => {
  assert.equal(refusal(() => groups({ groups: [{ image: 'qemu:CentOS-7' }] })).code, 'not_found')
})

test('[C04] no match names the prefix; a broken image is named with what is wrong', () => {
  assert.match(refusal(() => groups({ groups: [{ prefix: 'windows' }] })).message, /no image begins with "windows"/)
  assert.match(refusal(() => groups({ groups: [{ prefix: 'junk' }] })).message, /qemu:junk is not one, it is neither qcow2/)
})

test('[C05 C08 C10] wrong fields are refused by name, in one line, with what is allowed', () => {
  const cases: [EnvAsked, RegExp][] = [
    [{ groups: [{ prefix: '' }] }, /groups\.0\.prefix is "", allowed is a prefix that is not empty/],
    [{ groups: [{ prefix: 'micro', cpu: 0 }] }, /groups\.0\.cpu is "0", allowed is at least 1 cpu$/],
    [{ groups: [{ prefix: 'micro', cpu: 1e9 }] }, /groups\.0\.cpu is "1000000000", allowed is at most/],
    [{ groups: [{ prefix: 'micro', cpu: 13 }] }, /cpu is 13, allowed is 1 to 12/],
    [{ groups: [{ prefix: 'micro', memMb: 99 }] }, /memory is 99, allowed is at least 100 MB/],
    [{ groups: [{ prefix: 'micro', ports: [70_000] }] }, /groups\.0\.ports\.0 is "70000", allowed is at most 65535/],
    [{ groups: [{ prefix: 'micro' }], lifetimeSeconds: 5 }, /lifetimeSeconds is "5", allowed is at least 30 s/],
    [{ groups: [{ prefix: 'micro', count: 10_002 }] }, /copies is 10001, allowed is 0 to 10000/],
    [{ groups: [] }, /groups is "\[\]", allowed is at least one image/],
    [{ groups: [{ prefix: 'micro', colour: 'red' }] } as unknown as EnvAsked, /colour is none of its fields/],
    [null as unknown as EnvAsked, /it is "null", allowed is Object/],
  ]
  for (const [asked, why] of cases) {
    const error = refusal(() => groups(asked))
    assert.equal(error.code, 'invalid')
    assert.match(error.message, why)
    assert.ok(!error.message.includes('\n'))
  }
})

const host = (total: Partial<typeof nothing>): HostRecord => ({
  address: '127.0.0.1:9527', version: '1', started: '', engines: [{ name: 'qemu', version: '7', features: {} }], unusable: [], images: {}, broken: {}, network: 'none', addresses: false, volume: 'qcow2',
  total: { cpu: 16, memMb: 1024, diskMb: 100_000, vms: 100, ...total },
})

test('[D02] what does not fit is refused with resource, total, used and wanted', () => {
  const spec = resolve({ groups: [{ prefix: 'micro', count: 6 }] })
  const used = { cpu: 1, memMb: 512, diskMb: 0, vms: 1 }
  assert.deepEqual(admit(spec, { before: nothing, used: nothing, hosts: [host({})], subject: 'env/demo' }), { cpu: 6, memMb: 768, diskMb: 6144, vms: 6 })
  const error = refusal(() => admit(spec, { before: nothing, used, hosts: [host({})], subject: 'env/demo' }))
  assert.equal(error.code, 'exhausted')
  assert.match(error.message, /not enough memory: 1 GB in all, 512 MB used, 768 MB wanted for 6 VMs/)
})

test('one is not told as many, and what an ENV has is not told as used', () => {
  const messageOf = (run: () => unknown) => refusal(run).message
  const subject = 'env/demo'
  const one = resolve({ groups: [{ prefix: 'micro' }] })
  const full = { cpu: 1, memMb: 0, diskMb: 0, vms: 1 }
  assert.equal(messageOf(() => admit(one, { before: nothing, used: full, hosts: [host({ cpu: 1 })], subject })), 'not enough cpu: 1 cpu in all, 1 cpu used, 1 cpu wanted for 1 VM')
  const two = resolve({ groups: [{ prefix: 'micro', count: 2 }] })
  assert.equal(messageOf(() => admit(two, { before: full, used: { ...full, cpu: 3 }, hosts: [host({ cpu: 3 })], subject })), 'not enough cpu: 3 cpus in all, 2 cpus used by others, 2 cpus wanted for 2 VMs')
  assert.equal(messageOf(() => checkQuota({ ...full, cpu: 2 }, { before: full, used: full, quota: { cpu: 1 }, owner: 'ann', subject })), 'not enough cpu in the quota of ann: 1 cpu in all, 0 cpus used by others, 2 cpus wanted')
})

test('[D02] one VM must fit one host, whatever they have together', () => {
  const spec = resolve({ groups: [{ prefix: 'micro', memMb: 1500 }] })
  assert.match(refusal(() => admit(spec, { before: nothing, used: nothing, hosts: [host({}), host({})], subject: 'env/demo' })).message, /one VM of micro wants 1.5 GB of memory, the largest host has 1 GB/)
})

test('an image for another processor that nobody built is refused with how it is built', () => {
  const recipes = new Map([['micro', image({ buildable: false })], ['kept-micro', image()]])
  const remedyOf = (group: object) => refusal(() => resolved(checkedSpec({ groups: [group] }, 'env/demo'), recipes, { limits: defaultLimits, broken, subject: 'env/demo' })).remedy
  for (const group of [{ image: 'micro-arm64' }, { prefix: 'micro-arm64' }]) assert.equal(remedyOf(group), 'if there is a recipe for it, `tt image build micro --arch arm64` makes it')
  for (const group of [{ image: 'micro-vax' }, { prefix: 'kept-micro-arm64' }, { image: 'arm64' }]) assert.equal(remedyOf(group), 'see `tt image list`')
})

test('[H06 H08] what no host has a processor for is refused, with what to install; a host that says nothing of processors is asked', () => {
  const foreign = new Map([['micro-arm64', image({ arch: 'arm64' })]])
  const spec = resolved(checkedSpec({ groups: [{ image: 'micro-arm64' }] }, 'env/demo'), foreign, { limits: defaultLimits, broken, subject: 'env/demo' })
  const offering = (features: Record<string, string>): HostRecord => ({ ...host({}), images: Object.fromEntries(foreign), engines: [{ name: 'qemu', version: '7', features }, { name: 'other', version: '1', features: { archs: 'arm64' } }] })
  const admitted = (...hosts: HostRecord[]) => admit(spec, { before: nothing, used: nothing, hosts, subject: 'env/demo' }).vms
  const poor = offering({ archs: 'amd64 i386', lacks: 'arm64:qemu-system-arm s390x:qemu-system-misc' })
  const error = refusal(() => admitted(poor))
  assert.deepEqual([error.code, error.message, error.remedy], ['unsupported', 'no host fits, because none runs guests for arm64, and micro-arm64 is for that processor', 'install qemu-system-arm on a host: apt-get install qemu-system-arm'])
  assert.equal(refusal(() => admitted(offering({ archs: 'amd64' }))).remedy, 'see `tt status --server`')
  assert.deepEqual([admitted(offering({ archs: 'amd64 arm64' })), admitted(poor, offering({ archs: 'arm64' })), admitted(offering({}))], [1, 1, 1])
})

test('no host, and no host with the engine, are told apart', () => {
  const spec = resolve({ groups: [{ prefix: 'micro' }] })
  assert.equal(refusal(() => admit(spec, { before: nothing, used: nothing, hosts: [], subject: 'env/demo' })).code, 'unavailable')
  assert.equal(refusal(() => admit(spec, { before: nothing, used: nothing, hosts: [{ ...host({}), engines: [] }], subject: 'env/demo' })).code, 'unsupported')
})
