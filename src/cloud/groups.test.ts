import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { EnvAsked, EnvSpec, FullGroup } from '../model/env.ts'
import { TtError } from '../model/errors.ts'
import { expand } from '../model/expand.ts'
import type { ImageSpec } from '../model/image.ts'
import { checkedSpec, defaultLimits } from './admission.ts'
import { resolved } from './groups.ts'

const image = (more: Partial<ImageSpec> = {}): ImageSpec => ({ engines: ['qemu'], digest: 'd', arch: 'amd64', ways: ['rexec'], features: [], cpu: 1, memMb: 128, diskMb: 1024, ports: [22], sizeBytes: 1, ...more })
const images = new Map([['micro', image()], ['other', image()], ['demo-os', image({ diskMb: 0, ports: [] })]])
const resolve = (asked: EnvAsked, before?: EnvSpec): EnvSpec => resolved(checkedSpec(asked, 'env/demo'), images, { limits: defaultLimits, broken: new Map(), subject: 'env/demo', ...(before ? { before } : {}) })
const indices = (spec: EnvSpec) => [...expand({ name: 'demo', uid: 'uuid', spec })].map(({ image: name, index }) => `${name}.${index}`)
const refusal = (asked: () => unknown): Pick<TtError, 'code' | 'message' | 'remedy'> => {
  try {
    asked()
  } catch (error) {
    if (error instanceof TtError) return { code: error.code, message: error.message, remedy: error.remedy }
    throw error
  }
  throw new assert.AssertionError({ message: 'it was not refused' })
}

const two = () => resolve({ groups: [{ image: 'micro', count: 2 }, { image: 'other', count: 2 }] })

test('what is read can be put back and changes nothing', () => {
  const spec = resolve({ groups: [{ image: 'micro', count: 3, flavor: 'm1.nano' }], kicked: [1], exceptions: { 2: { deny: ['10.0.0.0/8'], ports: [80] } } })
  assert.deepEqual(resolve(spec, spec), spec)
})

test('a group that others follow grows by a further one, and shrinks from its end', () => {
  const grown = resolve({ groups: [{ image: 'micro', count: 4 }, { image: 'other', count: 2 }] }, two())
  assert.deepEqual(indices(grown), ['micro.0', 'micro.1', 'other.2', 'other.3', 'micro.4', 'micro.5'])
  const more = resolve({ groups: [{ image: 'micro', count: 5 }, { image: 'other', count: 2 }] }, grown)
  assert.deepEqual(indices(more).at(-1), 'micro.6')
  const fewer = resolve({ groups: [{ image: 'micro', count: 1 }, { image: 'other', count: 2 }] }, more)
  assert.deepEqual(indices(fewer), ['micro.0', 'other.2', 'other.3'])
})

test('the last group grows in place; an image that is left out goes, a new one comes after all', () => {
  assert.deepEqual(indices(resolve({ groups: [{ image: 'micro', count: 2 }, { image: 'other', count: 3 }] }, two())), ['micro.0', 'micro.1', 'other.2', 'other.3', 'other.4'])
  assert.deepEqual(indices(resolve({ groups: [{ image: 'other', count: 2 }, { image: 'demo-os' }] }, two())), ['other.2', 'other.3', 'demo-os.4'])
})

test('groups of one image are told apart by name', () => {
  const asked = { groups: [{ name: 'small', image: 'micro' }, { name: 'large', image: 'micro', memMb: 512, count: 2 }] }
  const spec = resolve(asked)
  assert.deepEqual((spec.groups as FullGroup[]).map(({ name, first, memMb }) => [name, first, memMb]), [['small', 0, 128], ['large', 1, 512]])
  assert.deepEqual(resolve(asked, spec), spec)
  assert.equal(refusal(() => resolve({ groups: [{ image: 'micro' }, { image: 'micro' }] })).code, 'invalid')
})

test('[M05] a flavor by name or number gives the sizes, and a size beside it counts more', () => {
  const sizes = (flavor: string | number, more = {}) => {
    const [group] = resolve({ groups: [{ image: 'micro', flavor, ...more }] }).groups as FullGroup[]
    return [group?.flavor, group?.cpu, group?.memMb, group?.diskMb]
  }
  assert.deepEqual(sizes('m1.small'), ['m1.small', 1, 2048, 20_480])
  assert.deepEqual(sizes(2), ['m1.small', 1, 2048, 20_480])
  assert.deepEqual(sizes('DS4G'), ['ds4G', 4, 4096, 20_480])
  assert.deepEqual(sizes('42'), ['m1.nano', 1, 64, 1024], 'a flavor without a disk of its own leaves that of the image')
  assert.deepEqual(sizes('m1.small', { cpu: 3 }), ['m1.small', 3, 2048, 20_480])
  assert.match(refusal(() => sizes('m9')).message, /there is no flavor "m9"/)
})

test('[D04] hardware changes while halted only, and each value alone', () => {
  const running = two()
  const asked = (more: object) => ({ ...running, groups: running.groups.map((group) => (group.image === 'micro' ? { ...group, ...more } : group)) })
  const error = refusal(() => resolve(asked({ memMb: 256 }), running))
  assert.deepEqual([error.code, error.remedy], ['not_ready', 'stop it first: `tt env stop demo`'])
  const stopped = { ...running, stopped: true }
  const changed = resolve({ ...asked({ memMb: 256 }), stopped: true }, stopped)
  assert.deepEqual((changed.groups as FullGroup[]).map(({ cpu, memMb }) => [cpu, memMb]), [[1, 256], [1, 128]])
  assert.equal((resolve({ ...asked({ cpu: 2 }), stopped: true }, stopped).groups as FullGroup[])[0]?.cpu, 2)
  assert.equal(refusal(() => resolve({ ...asked({ memMb: 256 }), stopped: true }, running)).code, 'not_ready', 'stopping and changing at once would change guests that still run')
  assert.equal(refusal(() => resolve({ ...asked({ cpu: 99 }), stopped: true }, stopped)).code, 'invalid')
})

test('[C11] disks grow and never shrink', () => {
  const stopped = { ...two(), stopped: true }
  const asked = (diskMb: number) => ({ ...stopped, groups: stopped.groups.map((group) => ({ ...group, diskMb })) })
  assert.equal((resolve(asked(2048), stopped).groups as FullGroup[])[0]?.diskMb, 2048)
  assert.match(refusal(() => resolve(asked(512), stopped)).message, /a disk cannot shrink from 1 GB to 512 MB/)
})

test('[E06] ports are replaced as a whole while VMs run, but for those of the image', () => {
  const spec = resolve({ groups: [{ image: 'micro', ports: [80, 443] }] })
  const changed = resolve({ groups: [{ image: 'micro', ports: [8080] }] }, spec)
  assert.deepEqual((changed.groups as FullGroup[])[0]?.ports, [22, 8080])
  assert.deepEqual((resolve({ groups: [{ image: 'micro' }] }, spec).groups as FullGroup[])[0]?.ports, [22, 80, 443], 'what is not said stays')
})

test('what is different for one VM is so for that one only', () => {
  const spec = resolve({ groups: [{ image: 'micro', count: 3 }], denyOutgoing: true, deny: ['10.0.0.0/8'], exceptions: { 1: { denyOutgoing: false, deny: [], ports: [80] } } })
  const vms = [...expand({ name: 'demo', uid: 'uuid', spec })]
  assert.deepEqual(vms.map(({ denyOutgoing, deny, ports }) => [denyOutgoing, deny, ports]), [[true, ['10.0.0.0/8'], [22]], [false, [], [22, 80]], [true, ['10.0.0.0/8'], [22]]])
  assert.match(refusal(() => resolve({ groups: [{ image: 'micro' }], exceptions: { 5: {} } })).message, /it has no VM 5/)
  assert.deepEqual(resolve({ ...spec, groups: [{ image: 'micro', count: 1 }] }, spec).exceptions, {}, 'they go with their VMs')
})

test('what was kicked and is gone since is forgotten; a new number that is no VM is refused', () => {
  const spec = resolve({ groups: [{ image: 'micro', count: 3 }], kicked: [2] })
  assert.deepEqual(resolve({ ...spec, groups: [{ image: 'micro', count: 2 }] }, spec).kicked, [])
  assert.match(refusal(() => resolve({ ...spec, kicked: [2, 9] }, spec)).message, /it has no VM 9/)
})

const names = ['micro', 'other', 'demo-os']
const askedGroup = fc.record({ image: fc.constantFrom(...names), count: fc.integer({ min: 1, max: 5 }), name: fc.constantFrom(undefined, 'a', 'b'), ports: fc.constantFrom<number[] | undefined>(undefined, [80], [443, 80]) })
/** Groups that can be told apart. */
const askedGroups = fc.uniqueArray(askedGroup, { minLength: 1, maxLength: 4, selector: ({ image, name }) => `${image} ${name}` })
const owners = (spec: EnvSpec) => new Map((spec.groups as FullGroup[]).flatMap(({ image, first, count }) => Array.from({ length: count }, (_, at) => [first + at, image] as const)))

test('whatever was asked: put again it changes nothing, nor does what was read; counts are as asked, and no number changes what it is of', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(askedGroups, fc.array(fc.nat(12), { maxLength: 3 })), { minLength: 1, maxLength: 6 }), (steps) => {
      let before: EnvSpec | undefined
      for (const [groups, kicks] of steps) {
        const there = (index: number) => before !== undefined && owners(before).has(index)
        const asked = { groups, kicked: kicks.filter(there) } satisfies EnvAsked
        const spec = resolve(asked, before)
        assert.deepEqual(resolve({ ...asked, kicked: spec.kicked }, spec), spec, 'asked again')
        assert.equal(JSON.stringify(resolve(spec, spec)), JSON.stringify(spec), 'put as it was read')
        for (const { image, name, count } of groups) {
          const mine = (spec.groups as FullGroup[]).filter((group) => group.image === image && group.name === name)
          assert.equal(mine.reduce((sum, group) => sum + group.count, 0), count)
        }
        const [was, is] = [before ? owners(before) : new Map<number, string>(), owners(spec)]
        assert.equal(is.size, groups.reduce((sum, { count }) => sum + count, 0), 'no number is used twice')
        for (const [index, image] of is) if (was.has(index)) assert.equal(image, was.get(index))
        for (const [index] of is) if (!was.has(index)) assert.ok(index > Math.max(-1, ...was.keys()), 'new ones come after all that there were')
        assert.deepEqual(spec.kicked.filter((index) => !is.has(index)), [])
        before = spec
      }
    }),
    { numRuns: 300 },
  )
})

test('groups that grow at once, the last of them in place, do not meet', () => {
  const grown = resolve({ groups: [{ image: 'micro', count: 4 }, { image: 'other', count: 4 }] }, two())
  assert.deepEqual(indices(grown), ['micro.0', 'micro.1', 'other.2', 'other.3', 'other.4', 'other.5', 'micro.6', 'micro.7'])
})

test('a group that says where it begins is that one, also under another name; numbers of another group are refused', () => {
  const spec = two()
  const renamed = resolve({ ...spec, groups: spec.groups.map((group) => (group.image === 'micro' ? { ...group, name: 'web' } : group)) }, spec)
  assert.deepEqual((renamed.groups as FullGroup[]).map(({ name, first }) => [name, first]), [['web', 0], [undefined, 2]])
  const error = refusal(() => resolve({ groups: [{ image: 'demo-os', first: 1 }, { image: 'other', count: 2 }] }, spec))
  assert.deepEqual([error.code, error.message], ['invalid', 'VMs 0 to 1 are of another group, of micro'])
  assert.deepEqual(indices(resolve({ groups: [{ image: 'demo-os', first: 7 }, { image: 'other', count: 2 }] }, spec)), ['other.2', 'other.3', 'demo-os.7'])
})

test('[C08] the limit of copies counts all VMs of an image, in however many groups', () => {
  const many = { groups: [{ name: 'a', image: 'micro', count: 6000 }, { name: 'b', image: 'micro', count: 6000 }] }
  assert.match(refusal(() => resolve(many)).message, /copies is 11999, allowed is 0 to 10000/)
  const spec = resolve({ groups: [{ image: 'micro', count: 10_000 }, { image: 'other' }] })
  assert.match(refusal(() => resolve({ groups: [{ image: 'micro', count: 10_002 }, { image: 'other' }] }, spec)).message, /copies is 10001/)
})

test('[M05] a flavor by its number is the one that is kept by name; on a change its sizes are held to no limit', () => {
  const spec = { ...resolve({ groups: [{ image: 'micro', flavor: 'm1.tiny', cpu: 3 }] }), stopped: true }
  assert.deepEqual(resolve({ groups: [{ image: 'micro', flavor: '1' }], stopped: true }, spec), spec)
  const [nano] = resolve({ groups: [{ image: 'micro', flavor: 'm1.nano' }], stopped: true }, spec).groups as FullGroup[]
  assert.deepEqual([nano?.flavor, nano?.cpu, nano?.memMb], ['m1.nano', 1, 64])
})
