import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { EnvSpec, FullGroup } from '../model/env.ts'
import { declaredIn } from './env-file.ts'
import { rehearse, type Stage } from './rehearsal.ts'
import { envOf, imageOf } from './specimens.ts'

const group = (image: string, first: number, count: number, more: Partial<FullGroup> = {}): FullGroup => ({ image, digest: 'd1', engine: 'qemu', first, count, cpu: 1, memMb: 128, diskMb: 1024, ports: [22], ...more })
const images = [imageOf('qemu:centos-7'), imageOf('qemu:micro')]
const webOf = (spec: Partial<EnvSpec> = {}) => envOf('web', { spec: { groups: [group('qemu:micro', 0, 2)], ...spec } })

const apply = (file: string, stage: Stage = {}, line = '--yes --no-wait') => rehearse(`env apply -f env.yaml ${line}`, { image: images, env: [webOf()], files: { 'env.yaml': file }, ...stage })

test('N09: a file is compared with what is, shown, and applied', async () => {
  const { status, out, cloud } = await apply('name: web\ngroups:\n  - prefix: micro\n    count: 4\n    ports: [80]\n  - image: qemu:centos-7\ndeny: [10.0.0.0/8]\nlifetimeSeconds: null\n')
  assert.equal(out, 'web is to change\n  ~ life 1 h -> without end\n  ~ qemu:micro 2 VMs -> 4 VMs\n  ~ qemu:micro ports 22 -> 22, 80\n  + qemu:centos-7 1 VM\n  + denied address 10.0.0.0/8\nweb: being changed\n')
  const [{ name, options }] = cloud.puts as [{ name: string; options: { spec: EnvSpec; expect: string } }]
  const [first, second] = options.spec.groups
  assert.deepEqual([status, name, options.expect, options.spec.deny, options.spec.lifetimeSeconds], [0, 'web', '7', ['10.0.0.0/8'], null])
  assert.deepEqual([first, second], [{ image: 'qemu:micro', digest: 'd1', engine: 'qemu', count: 4, cpu: 1, memMb: 128, diskMb: 1024, ports: [22, 80] }, { image: 'qemu:centos-7', count: 1 }])
})

test('what a file does not say stays, and is not asked for', async () => {
  const { status, out, cloud } = await apply('name: web\ngroups: [{ image: "qemu:micro", count: 2 }]\n', { env: [webOf({ denyOutgoing: true, groups: [group('qemu:micro', 0, 2, { cpu: 4, ports: [22, 80] })] })] })
  assert.deepEqual([status, out, cloud.puts], [0, 'web is as described\n', []])
})

test('counts are of VMs that live; who was taken out stays out', async () => {
  const kicked = webOf({ kicked: [0], groups: [group('qemu:micro', 0, 3)] })
  assert.equal((await apply('name: web\ngroups: [{ image: "qemu:micro", count: 2 }]', { env: [kicked] })).out, 'web is as described\n')
  const { cloud, out } = await apply('name: web\ngroups: [{ image: "qemu:micro", count: 3 }]', { env: [kicked] })
  assert.match(out, /~ qemu:micro 2 VMs -> 3 VMs/)
  assert.equal((cloud.puts[0]!.options as { spec: EnvSpec }).spec.groups[0]?.count, 4)
})

test('a dry run asks for nothing; its status says whether there is something to do', async () => {
  const more = 'name: web\ndenyOutgoing: true\n'
  const dry = await apply(more, {}, '--dry-run')
  assert.deepEqual([dry.status, dry.out, dry.cloud.puts], [3, 'web is to change\n  ~ outgoing connections allowed -> denied\n', []])
  assert.equal((await apply('name: web\n', {}, '--dry-run')).status, 0)
  const json = JSON.parse((await apply(more, {}, '--dry-run --json')).out) as { plan: { name: string; action: string }[] }
  assert.deepEqual(json.plan.map(({ name, action }) => [name, action]), [['web', 'change']])
})

test('it asks a person, and wants --yes where there is none', async () => {
  const more = 'name: web\ndenyOutgoing: true\n'
  const answered = async (keys?: string[]) => {
    const { status, cloud } = await apply(more, keys ? { keys } : {}, '--no-wait')
    return [status, cloud.puts.length]
  }
  assert.deepEqual(await answered(['y']), [0, 1])
  assert.deepEqual(await answered(['\r']), [16, 0])
  assert.deepEqual(await answered(['\x03']), [16, 0])
  assert.deepEqual(await answered(), [2, 0])
})

test('several ENVs in one file are each made or changed, and one that fails does not keep the others', async () => {
  const file = 'name: a\ngroups: [{ prefix: micro }]\n---\n- name: web\n  atEnd: stop\n- { name: b, groups: [{ prefix: centos }] }\n'
  const { status, out, cloud } = await apply(file, { refusals: { 'env.put a': [{ code: 'exhausted', message: 'not enough memory' }] } })
  assert.deepEqual([status, cloud.calls.filter((call) => call.includes('put'))], [11, ['env.put a', 'env.put web', 'env.put b']])
  assert.match(out, /\nweb: being changed\nb: being made\n$/)
  assert.deepEqual(cloud.puts.map(({ options }) => (options as { expect: string }).expect), ['absent', '7', 'absent'])
})

test('an ENV that has changed since it was compared is not changed', async () => {
  const { status, err } = await apply('name: web\nstopped: true\n', { refusals: { 'env.put web': [{ code: 'conflict', message: 'ENV web was changed meanwhile' }] } })
  assert.match(err, /ENV web was changed meanwhile/)
  assert.equal(status, 8)
})

test('an ENV that has failed is made anew, and one that is being removed is not touched', async () => {
  const { cloud } = await apply('name: web\ngroups: [{ prefix: micro }]', { env: [envOf('web', { status: { phase: 'failed' } })] })
  assert.equal((cloud.puts[0]!.options as { expect: string }).expect, 'absent')
  assert.equal((await apply('name: web', { env: [envOf('web', { removing: '2026-01-01T00:00:00.000Z' })] })).status, 8)
})

const wrong: [file: string, why: RegExp][] = [
  ['name: web\ngroups:\n  - image: m\n    cpu: two\n', /env.yaml:4: groups.0.cpu is "two", allowed is a number of cpus/],
  ['name: web\ngroup:\n  - image: m\n', /env.yaml:2: group is none of its fields; did you mean groups\?/],
  ['name: web\n\ngroups:\n  - images: m\n', /env.yaml:4: groups.0.images is none of its fields; did you mean image\?/],
  ['name: web\ngroups:\n  - count: 2\n', /env.yaml:3: groups.0 needs an image or a prefix, not both/],
  ['name: a/b\n', /env.yaml:1: "a\/b" is not an ENV name/],
  ['groups: []\n', /env.yaml:1: the name is missing/],
  ['name: web\nname: web\n', /env.yaml:2: Map keys must be unique/],
  ['name: web\n---\nname: web\n', /env.yaml:3: ENV web is described twice/],
  ['name: web\ndeny:\n  - 10.0.0.0/8\n  - nowhere\n', /env.yaml:4: deny.1 is "nowhere", allowed is an IPv4 address or prefix/],
  ['name: new\nexceptions:\n  3:\n    ports: [0]\n', /env.yaml:4: exceptions.3.ports.0 is "0", allowed is at least 1/],
  ['name: new\n', /env.yaml:1: there is no ENV new, and no groups are described/],
  ['name: new\ngroups: [{ prefix: windows }]\n', /env.yaml:1: no image begins with "windows"/],
  ['just text\n', /env.yaml:1: an ENV is a map/],
  ['', /env.yaml describes no ENV/],
  ['a: [\n', /env.yaml:2: /],
  ['{"name": "web",\n "groups": 7}', /env.yaml:2: groups is "7"/],
]
for (const [file, why] of wrong)
  test(`a wrong file is named by its place: ${JSON.stringify(file).slice(0, 60)}`, async () => {
    const { status, err, cloud } = await apply(file)
    assert.match(err.split('\n')[0] ?? '', why)
    assert.ok(status === 2 || status === 6)
    assert.deepEqual(cloud.puts, [])
  })

test('a text that would grow without end is refused', async () => {
  const bomb = `name: web\na: &a [${'x,'.repeat(99)}x]\n${'bcdefgh'.replace(/./g, (letter, at: number) => `${letter}: &${letter} [${`*${'abcdefg'[at]},`.repeat(99)}1]\n`)}`
  const { status, err } = await apply(bomb)
  assert.match(err, /^tt: env\.yaml:1: it cannot be read: .*alias.* \(invalid\)\n$/i)
  assert.equal(status, 2)
  await assert.rejects(declaredIn(`name: web\ndeny: ${'['.repeat(100_000)}`, 'env.yaml'), { code: 'invalid', message: /^env\.yaml/ })
  await assert.rejects(declaredIn('#'.repeat(5 << 20), 'env.yaml'), /allowed/)
})

test('an export says what is not usual, and to apply it changes nothing', async () => {
  const specs: Partial<EnvSpec>[] = [
    {},
    { lifetimeSeconds: null, longLife: true, atEnd: 'stop', keepDisks: true, denyOutgoing: true, deny: ['10.0.0.0/8'], peers: ['db'], stopped: true, deadlineSeconds: 60, host: 'h1' },
    { exceptions: { 1: { ports: [22, 80], denyOutgoing: true, deny: [] } }, kicked: [0] },
    { groups: [group('qemu:micro', 0, 2), group('qemu:centos-7', 2, 1), group('qemu:micro', 3, 4), group('qemu:micro', 9, 1, { name: 'b', flavor: 'm1.tiny' })] },
  ]
  for (const spec of specs) {
    const env = [webOf(spec)]
    for (const json of ['', ' --json']) {
      const { out } = await rehearse(`env export web${json}`, { env })
      const { out: told, status } = await apply(out, { env }, '--dry-run')
      assert.deepEqual([told, status], ['web is as described\n', 0], out)
    }
  }
  const { out } = await rehearse('env export web', { env: [webOf()] })
  assert.deepEqual(parse(out), { name: 'web', groups: [{ image: 'qemu:micro', count: 2, cpu: 1, memMb: 128, diskMb: 1024, ports: [22] }], lifetimeSeconds: 3600 })
})
