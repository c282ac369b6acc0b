import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnvSpec, FullGroup } from '../model/env.ts'
import { rehearse, type Stage } from './rehearsal.ts'
import { envOf } from './specimens.ts'

const group = (image: string, first: number, count: number, more: Partial<FullGroup> = {}): FullGroup => ({ image, digest: 'd1', engine: 'qemu', first, count, cpu: 1, memMb: 128, diskMb: 1024, ports: [22], ...more })
const groups = [group('qemu:micro', 0, 3), group('qemu:centos-7', 3, 2)]
const demo = (spec: Partial<EnvSpec> = {}): Stage => ({ env: [envOf('demo', { spec: { groups, ...spec } })] })

/** What a line changes of demo: the fields of its spec that are not as they were. */
async function changes(line: string, spec: Partial<EnvSpec> = {}): Promise<Partial<EnvSpec>> {
  const stage = demo(spec)
  const { cloud, err, status } = await rehearse(`env update demo --no-wait ${line}`, stage)
  assert.equal(status, 0, err)
  assert.equal(cloud.puts.length, 1, 'several changes are one put')
  const after = (cloud.puts[0]!.options as { spec: EnvSpec }).spec
  const before = stage.env?.[0]?.spec as EnvSpec
  return Object.fromEntries(Object.entries(JSON.parse(JSON.stringify(after)) as EnvSpec).filter(([field, value]) => JSON.stringify(value) !== JSON.stringify(before[field as keyof EnvSpec])))
}

// It was created at 23:30 of the day before, and it is midnight in a world that begins in 2026.
const cases: [line: string, changes: object, spec?: Partial<EnvSpec>][] = [
  ['-l 2h', { lifetimeSeconds: 7200 }],
  ['-l +2h', { lifetimeSeconds: 9000 }],
  ['-l never', { lifetimeSeconds: null }],
  ['-l 0', { lifetimeSeconds: null }],
  ['--extend 600', { lifetimeSeconds: 4200 }],
  ['--extend 600', { lifetimeSeconds: 1800 + 600 }, { lifetimeSeconds: 60, stopped: true }],
  ['--until 2026-01-01T01:00:00Z', { lifetimeSeconds: 5400 }],
  ['-l 7d --SSSS', { lifetimeSeconds: 604_800, longLife: true }],
  ['-l 7d --long-life', { lifetimeSeconds: 604_800, longLife: true }],
  ['--at-end stop --keep-disks', { atEnd: 'stop', keepDisks: true }],
  ['--no-keep-disks', { keepDisks: false }, { keepDisks: true }],
  ['-p 80,443 -p 80', { groups: groups.map((one) => ({ ...one, ports: [80, 443] })) }],
  ['--no-vm-port', { groups: groups.map((one) => ({ ...one, ports: [] })) }],
  ['-p 80', { groups: groups.map((one) => ({ ...one, ports: [80] })), exceptions: { 1: { denyOutgoing: true } } }, { exceptions: { 1: { ports: [9], denyOutgoing: true }, 2: { ports: [8] } } }],
  ['-p 80 -m 1,4', { exceptions: { 1: { ports: [80] }, 4: { ports: [80] } } }],
  ['-n', { denyOutgoing: true }],
  ['-y', { denyOutgoing: false, exceptions: {} }, { denyOutgoing: true, exceptions: { 3: { denyOutgoing: false } } }],
  ['-n -m 3', { exceptions: { 3: { denyOutgoing: true } } }],
  ['-y -m 3', { exceptions: {} }, { exceptions: { 3: { denyOutgoing: true } } }],
  ['--deny 10.0.0.0/8,192.0.2.1', { deny: ['172.16.0.0/12', '10.0.0.0/8', '192.0.2.1'] }, { deny: ['172.16.0.0/12'] }],
  ['--no-deny 172.16.0.0/12 --deny 192.0.2.1', { deny: ['192.0.2.1'] }, { deny: ['172.16.0.0/12'] }],
  ['--no-deny all', { deny: [], exceptions: {} }, { deny: ['172.16.0.0/12'], exceptions: { 2: { deny: ['192.0.2.1'] } } }],
  ['--deny 192.0.2.1 -m 2', { exceptions: { 2: { deny: ['10.0.0.0/8', '192.0.2.1'] } } }, { deny: ['10.0.0.0/8'] }],
  ['--no-deny 192.0.2.1 -m 2', { exceptions: {} }, { deny: ['10.0.0.0/8'], exceptions: { 2: { deny: ['10.0.0.0/8', '192.0.2.1'] } } }],
  ['--deny 192.0.2.1', { deny: ['192.0.2.1'], exceptions: { 2: { deny: ['10.0.0.0/8', '192.0.2.1'] } } }, { exceptions: { 2: { deny: ['10.0.0.0/8'] } } }],
  ['--peer db,shop', { peers: ['web', 'db', 'shop'] }, { peers: ['web'] }],
  ['--no-peer web', { peers: [] }, { peers: ['web'] }],
  ['-C 2', { groups: groups.map((one) => ({ ...one, cpu: 2 })) }],
  ['-M 256 -D 2048 -s centos', { groups: [groups[0], { ...groups[1], memMb: 256, diskMb: 2048 }] }],
  ['-C 3', { groups: [{ ...groups[0], cpu: 3 }] }, { groups: [{ ...group('qemu:micro', 0, 3), flavor: 'm1.tiny' }] }],
  ['--kick-vm 1', { kicked: [1] }],
  ['--kick-vm demo.4,0', { kicked: [0, 4] }],
  ['--kick-os CENT', { kicked: [1, 3, 4] }, { kicked: [1] }],
  ['--kick-os qemu:', { kicked: [0, 1, 2, 3, 4] }],
]
for (const [line, expected, spec] of cases)
  test(`update ${line}${spec ? ` of ${JSON.stringify(spec).slice(0, 90)}` : ''}`, async () => assert.deepEqual(await changes(line, spec), expected))

const countsOf = ({ groups: after = [] }: Partial<EnvSpec>) => after.map(({ image, first, count }) => [image, first, count])

test('M05: a flavor takes the place of sizes, and sizes beside it count more', async () => {
  const { cpu, memMb, diskMb, flavor } = (await changes('--flavor 2 -D 4096')).groups?.[0] ?? {}
  assert.deepEqual([flavor, cpu, memMb, diskMb], ['m1.small', undefined, undefined, 4096], 'the server fills in what the flavor says')
})

test('N09: VMs are counted as they live, and more of an image need not stand where others do', async () => {
  assert.deepEqual(countsOf(await changes('--count micro=5')), [['qemu:micro', undefined, 5], ['qemu:centos-7', 3, 2]])
  assert.deepEqual(countsOf(await changes('--count 1')), [['qemu:micro', undefined, 1], ['qemu:centos-7', undefined, 1]])
  assert.deepEqual(countsOf(await changes('--count micro=3', { kicked: [1] })), [['qemu:micro', undefined, 4], ['qemu:centos-7', 3, 2]])
  assert.deepEqual(countsOf(await changes('--count micro=1', { kicked: [0] })), [['qemu:micro', undefined, 2], ['qemu:centos-7', 3, 2]])
  assert.deepEqual(await changes('--count micro=3 -n'), { denyOutgoing: true }, 'what is so already')
  const split = { groups: [group('qemu:micro', 0, 3), group('qemu:centos-7', 3, 2), group('qemu:micro', 5, 4)] }
  assert.deepEqual(countsOf(await changes('--count micro=5', split)), [['qemu:micro', undefined, 5], ['qemu:centos-7', 3, 2]])
  assert.deepEqual(countsOf(await changes('--count b=2', { groups: [group('m', 0, 1, { name: 'a' }), group('m', 1, 1, { name: 'b' })] })), [['m', 0, 1], ['m', undefined, 2]])
})

test('fault 3: cpus, memory and disk each change alone, and nothing else does', async () => {
  for (const [flag, field] of [['-C', 'cpu'], ['-M', 'memMb'], ['-D', 'diskMb']] as const) assert.deepEqual((await changes(`${flag} 5000`)).groups, groups.map((one) => ({ ...one, [field]: 5000 })))
})

test('fault 4: --allow-outgoing alone is a change', async () => {
  assert.deepEqual(await changes('--allow-outgoing', { denyOutgoing: true }), { denyOutgoing: false })
})

test('fault 13: an ENV can be given time from now, whatever its age', async () => {
  assert.deepEqual(await changes('-l +60', { lifetimeSeconds: 1801 }), { lifetimeSeconds: 1860 })
})

/** Lines that change nothing: the status, and what the first line says. */
const refused: [line: string, status: number, why: RegExp][] = [
  ['-n -y', 2, /either --deny-outgoing or --allow-outgoing/],
  ['-l 60', 2, /ENV demo is 30 min old: a life of 1 min is over already/],
  ['-l +1h --extend 60', 2, /either --life-time or --extend/],
  ['--until 25:00', 2, /--until is "25:00", allowed is a time/],
  ['--until 2025-01-01T00:00', 2, /which is over already/],
  ['--at-end sleep', 2, /--at-end is "sleep", allowed is delete or stop/],
  ['--keep-disks --no-keep-disks', 2, /either/],
  ['-p 80 --no-vm-port', 2, /either/],
  ['-p 70000', 2, /--vm-port is "70000", allowed is at most 65535/],
  ['--deny 10.0.0.1/8', 2, /--deny is "10.0.0.1\/8", allowed is an IPv4 address or prefix/],
  ['--deny all', 2, /"all" can be taken away, not added/],
  ['--no-deny 192.0.2.1', 6, /--no-deny is 192.0.2.1, which is not in its list/],
  ['--no-peer web', 6, /--no-peer is web, which is not in its list/],
  ['--peer db,demo', 2, /--peer is demo, the ENV itself/],
  ['--peer web -m 1', 2, /--peer is for whole ENVs/],
  ['-C 2 -m 1', 2, /--vm-id goes with --vm-port/],
  ['-n -m 9', 6, /ENV demo has no VM 9/],
  ['-n -m x', 2, /--vm-id is "x", allowed is an index/],
  ['-s micro', 2, /--os-prefix goes with --cpu-num/],
  ['-C 2 -s windows', 6, /ENV demo has no image that begins with "windows"/],
  ['--flavor huge', 2, /--flavor is "huge", allowed is the name or number of a flavor/],
  ['--count 0', 2, /--count is 0, allowed is at least 1/],
  ['--count web=2', 6, /no image that begins with "web"/],
  ['--count qemu=2', 2, /--count is for "qemu", which may be qemu:micro or qemu:centos-7/],
  ['--count 2,micro=3', 2, /either --count N for each image or --count IMAGE=N/],
  ['--kick-vm 1,9', 6, /there is no VM demo.9; none was taken out of demo/],
  ['--kick-vm web.1', 2, /web is none of the ENVs that were named/],
  ['--kick-os windows', 6, /no VM of ENV demo has an image that begins with "windows"; none was taken out/],
  ['--kick-os=', 2, /--kick-os is ""/],
  ['--wait --no-wait', 2, /either --wait or --no-wait/],
]
for (const [line, expected, why] of refused)
  test(`update ${line} is refused and changes nothing`, async () => {
    const { status, err, cloud } = await rehearse(`env update demo ${line}`, demo())
    assert.match(err.split('\n')[0] ?? '', why)
    assert.deepEqual([status, cloud.puts], [expected, []])
  })

test('an address that cannot be taken from a list is named, and the list as it is', async () => {
  const spec = { deny: ['10.0.0.0/8'], exceptions: { 2: { deny: ['192.0.2.1'] } } }
  const refusalOf = async (line: string) => (await rehearse(`env update demo ${line}`, demo(spec))).err
  assert.equal(await refusalOf('--no-deny 192.0.2.9'), 'tt: --no-deny is 192.0.2.9, which is not in its list (not_found)\n  the list is 10.0.0.0/8, 192.0.2.1\n')
  assert.match(await refusalOf('--no-deny 10.0.0.0/8,192.0.2.9'), /^tt: --no-deny is 192\.0\.2\.9, which is not/)
  assert.match(await refusalOf('--no-deny 192.0.2.9,192.0.2.1,192.0.2.8'), /^tt: --no-deny is 192\.0\.2\.9, 192\.0\.2\.8, which are not/)
  assert.match(await refusalOf('--no-deny 10.0.0.0/8 -m 2'), /the list is 192\.0\.2\.1\n/)
})

test('G05: one unknown VM keeps all in, also one that was taken out before', async () => {
  const { status, err, cloud } = await rehearse('env update demo --kick-vm 0,1', demo({ kicked: [1] }))
  assert.match(err, /there is no VM demo.1; none was taken out of demo \(not_found\)/)
  assert.deepEqual([status, cloud.puts], [6, []])
})
