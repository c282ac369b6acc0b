import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Change, Cloud, Collection, PutOptions, RemoveOptions } from '../model/cloud.ts'
import type { EnvAsked } from '../model/env.ts'
import { type ErrorCode, fail } from '../model/errors.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import type { CloudEvent, SessionFrame } from '../model/session.ts'
import type { Role, TokenSpec, User } from '../model/user.ts'
import { guard } from './guard.ts'

const ann: User = { name: 'ann', role: 'user' }
const vera: User = { name: 'vera', role: 'viewer' }
const boss: User = { name: 'boss', role: 'admin' }

const env = (owner: string, more: Partial<Resource<'env'>> = {}) =>
  ({ kind: 'env', name: 'demo', uid: `uid-of-${owner}`, revision: '1', owner, created: 'then', spec: { groups: [], lifetimeSeconds: 3600, longLife: false }, status: { phase: 'ready', vms: 3, ready: 1, since: 'then', expires: 'later' }, ...more }) as unknown as Resource<'env'>

interface Script {
  /** What one look after another finds. The last stays. */
  looks?: (Resource<Kind> | undefined)[]
  /** What becomes of one put after another. */
  puts?: (ErrorCode | Resource<Kind>)[]
  all?: Resource<Kind>[]
  changes?: Change<Kind>[]
  events?: CloudEvent[]
}

/** A Cloud that plays a script and remembers what was asked of it. */
function scripted({ looks = [], puts = [], all = [], changes = [], events = [] }: Script) {
  const asked: { verb: string; name: string; options: PutOptions<Kind> | RemoveOptions | undefined }[] = []
  const looked = [...looks]
  const became = [...puts]
  const collection = {
    async get(name: string) {
      return (looked.length > 1 ? looked.shift() : looked[0]) ?? fail('not_found', `there is no ENV ${name}`, { subject: `env/${name}` })
    },
    list: async () => ({ items: all, missing: [] }),
    async put(name: string, options: PutOptions<Kind>) {
      asked.push({ verb: 'put', name, options })
      const outcome = became.shift() ?? env('ann')
      return typeof outcome === 'string' ? fail(outcome, 'because', { subject: `env/${name}` }) : outcome
    },
    async remove(name: string, options?: RemoveOptions) {
      asked.push({ verb: 'remove', name, options })
    },
    async *watch() {
      yield* changes
    },
  }
  const cloud: Cloud = {
    about: async () => ({ cloud: 'scripted', version: '0', user: 'admin', role: 'admin' }),
    collection: <K extends Kind>() => collection as unknown as Collection<K>,
    open: async () => ({ output: ReadableStream.from(events.map((event): SessionFrame => ({ type: 'event', event }))), input: new WritableStream(), [Symbol.asyncDispose]: async () => undefined }),
  }
  return { cloud, asked }
}

const put = (cloud: Cloud, user: User, options: Partial<PutOptions<'env'>> = {}) => guard(cloud, user).collection('env').put('demo', { spec: { groups: [] }, ...options })
const changesOf = async (cloud: Cloud, user: User, all = false) => {
  const told: string[] = []
  for await (const change of guard(cloud, user).collection('env').watch(all ? { all } : {})) told.push(change.type === 'is' ? `is ${change.resource.owner}${change.resource.reduced ? ' reduced' : ''}` : change.type)
  return told
}

describe('a put of an ordinary user', () => {
  it('J01: changes what was looked at and nothing else, though the name goes to another in between', async () => {
    const { cloud, asked } = scripted({ looks: [env('ann'), env('bob')], puts: ['conflict'] })
    await assert.rejects(put(cloud, ann), { code: 'exists', message: 'the name demo is taken', subject: 'env/demo' })
    assert.deepEqual(asked.map(({ options }) => (options as PutOptions<'env'>).expect), ['1'])
    const gone = scripted({ looks: [undefined, env('bob')], puts: ['exists'] })
    await assert.rejects(put(gone.cloud, ann), { code: 'exists' })
    assert.deepEqual(gone.asked.map(({ options }) => (options as PutOptions<'env'>).expect), ['absent'])
  })

  it("shows nothing of another's ENV that the cloud takes for a repeat", async () => {
    const { cloud } = scripted({ looks: [undefined], puts: [env('bob')] })
    await assert.rejects(put(cloud, ann, { uid: 'uidofbob', expect: 'absent' }), { code: 'exists', message: 'the name demo is taken' })
  })

  it('is repeated when it lost a race against itself, and not when it is refused for another reason', async () => {
    const race = scripted({ looks: [env('ann'), env('ann', { revision: '2' })], puts: ['conflict', env('ann', { revision: '3' })] })
    assert.equal((await put(race.cloud, ann)).revision, '3')
    assert.deepEqual(race.asked.map(({ options }) => (options as PutOptions<'env'>).expect), ['1', '2'])
    for (const code of ['conflict', 'not_found', 'exists', 'exhausted'] as const) {
      const { cloud, asked } = scripted({ looks: [env('ann')], puts: [code, code, code] })
      await assert.rejects(put(cloud, ann), { code })
      assert.equal(asked.length, 1, code)
    }
    const own = scripted({ looks: [env('ann'), env('ann', { revision: '2' })], puts: ['conflict'] })
    await assert.rejects(put(own.cloud, ann, { expect: '1' }), { code: 'conflict' })
    assert.equal(own.asked.length, 1, 'what its caller expects is not tried again')
  })

  it('makes a failed ENV anew, or changes it while its hosts hold something of it', async () => {
    const failed = env('ann', { status: { phase: 'failed', vms: 0, ready: 0, since: '' } })
    const free = scripted({ looks: [failed] })
    await put(free.cloud, ann)
    assert.deepEqual(free.asked.map(({ options }) => (options as PutOptions<'env'>).expect), ['absent'])
    const held = scripted({ looks: [failed], puts: ['exists'] })
    await put(held.cloud, ann)
    assert.deepEqual(held.asked.map(({ options }) => (options as PutOptions<'env'>).expect), ['absent', '1'])
  })

  it('carries the name of its caller, whatever it says', async () => {
    const { cloud, asked } = scripted({ looks: [undefined] })
    await put(cloud, ann)
    assert.equal((asked[0]?.options as PutOptions<'env'> | undefined)?.owner, 'ann')
    for (const owner of ['bob', 'nobody', '', 'Ann']) await assert.rejects(put(cloud, ann, { owner }), { code: 'denied', message: 'only an admin may make things for others' })
    assert.equal(asked.length, 1)
  })

  it('gives only a life that is theirs to give', async () => {
    const cases: [before: Partial<EnvAsked> | undefined, asked: Partial<EnvAsked>, rights: User['rights'], outcome: string][] = [
      [undefined, { lifetimeSeconds: 3600 }, [], 'ok'],
      [undefined, { lifetimeSeconds: null }, [], 'denied'],
      [undefined, { longLife: true }, [], 'denied'],
      [undefined, { lifetimeSeconds: null, longLife: true }, ['longLife'], 'ok'],
      [undefined, { lifetimeSeconds: null }, ['listAll'], 'denied'],
      [{ lifetimeSeconds: null }, { lifetimeSeconds: null }, [], 'ok'],
      [{ lifetimeSeconds: 3600 }, { lifetimeSeconds: null }, [], 'denied'],
      [{ lifetimeSeconds: null }, { lifetimeSeconds: 3600 }, [], 'ok'],
      [{ lifetimeSeconds: 90_000, longLife: true }, { lifetimeSeconds: 90_000, longLife: true }, [], 'ok'],
      [{ lifetimeSeconds: 90_000, longLife: true }, { lifetimeSeconds: 80_000, longLife: true }, [], 'ok'],
      [{ lifetimeSeconds: 90_000, longLife: true }, { lifetimeSeconds: 90_001, longLife: true }, [], 'denied'],
      [{ lifetimeSeconds: 90_000, longLife: true }, { lifetimeSeconds: null, longLife: true }, [], 'denied'],
      [{ lifetimeSeconds: null, longLife: true }, { lifetimeSeconds: 90_000, longLife: true }, [], 'ok'],
    ]
    for (const [before, asked, rights, outcome] of cases) {
      const there = before && env('ann', { spec: { ...env('ann').spec, ...before } as Resource<'env'>['spec'] })
      const { cloud } = scripted({ looks: [there] })
      const became = await put(cloud, { ...ann, rights }, { spec: { groups: [], ...asked } }).then(() => 'ok', ({ code }: { code: string }) => code)
      assert.equal(became, outcome, JSON.stringify([before, asked, rights]))
    }
  })
})

describe('a removal by an ordinary user', () => {
  it('J01: takes the ENV that was looked at, not one that another makes of the name in this moment', async () => {
    const { cloud, asked } = scripted({ looks: [env('ann')] })
    const envs = guard(cloud, ann).collection('env')
    await envs.remove('demo', { keepDisks: true, uid: undefined })
    await envs.remove('demo', { uid: 'uid-of-bob' })
    assert.deepEqual(asked.map(({ options }) => options), [{ keepDisks: true, uid: 'uid-of-ann' }, { uid: 'uid-of-bob' }], 'what its caller names stays')
  })
})

describe('what is told', () => {
  const both = [env('ann'), env('bob', { name: 'other' })]

  it("B06: of others' ENVs to who has the right is their name, owner, times and number of VMs, and nothing else", async () => {
    const { cloud } = scripted({ all: both })
    const lister: User = { ...ann, rights: ['listAll'] }
    const { items } = await guard(cloud, lister).collection('env').list({ all: true })
    assert.deepEqual(items[0], both[0])
    const other = items[1]
    assert.deepEqual([other?.name, other?.owner, other?.created, other?.status?.expires, other?.status?.vms, other?.reduced], ['other', 'bob', 'then', 'later', 3, true])
    assert.deepEqual([other?.uid, other?.revision, other?.status?.ready, other?.status?.phase], ['', '', 0, 'ready'])
    assert.ok(!JSON.stringify(other).includes('uid-of-bob'))
    assert.deepEqual((await guard(cloud, lister).collection('env').list()).items.map(({ owner }) => owner), ['ann'])
    assert.deepEqual((await guard(cloud, ann).collection('env').list({ all: true })).items.map(({ owner }) => owner), ['ann'], 'not without the right')
    await assert.rejects(guard(scripted({ looks: [both[1]] }).cloud, lister).collection('env').get('other'), { code: 'not_found' })
    assert.deepEqual((await guard(cloud, lister).collection('vm').list({ all: true })).items.map(({ owner }) => owner), ['ann'], 'the right is for ENVs alone')
  })

  it('is the own unless all are wanted, also to those who see everything', async () => {
    const mine = env('vera', { name: 'mine' })
    const { cloud } = scripted({ all: [...both, mine] })
    for (const user of [vera, { ...boss, name: 'vera' }]) {
      assert.deepEqual((await guard(cloud, user).collection('env').list()).items.map(({ name }) => name), ['mine'])
      assert.deepEqual((await guard(cloud, user).collection('env').list({ all: true })).items, [...both, mine])
    }
    assert.deepEqual((await guard(cloud, { ...vera, ownOnly: true }).collection('env').list({ all: true })).items.map(({ name }) => name), ['mine'])
  })

  it('J01: by a watch of a name that goes to another is that it is gone', async () => {
    const changes: Change<Kind>[] = [{ type: 'is', resource: env('ann') }, { type: 'synced' }, { type: 'is', resource: env('bob') }, { type: 'gone', name: 'demo' }, { type: 'is', resource: env('ann') }]
    assert.deepEqual(await changesOf(scripted({ changes: changes.slice(0, 3) }).cloud, ann), ['is ann', 'synced', 'gone'])
    assert.deepEqual(await changesOf(scripted({ changes }).cloud, ann), ['is ann', 'synced', 'gone', 'is ann'], 'and is not told again')
    assert.deepEqual(await changesOf(scripted({ changes }).cloud, { ...ann, rights: ['listAll'] }, true), ['is ann', 'synced', 'is bob reduced', 'gone', 'is ann'])
    assert.deepEqual(await changesOf(scripted({ changes }).cloud, vera), ['synced'])
    assert.deepEqual(await changesOf(scripted({ changes }).cloud, vera, true), ['is ann', 'synced', 'is bob', 'gone', 'is ann'])
  })

  it('J01: by events is what happened to what may be seen', async () => {
    const event = (subject: string, owner?: string, word = 'created'): CloudEvent => ({ time: '', subject, event: word, message: '', ...(owner === undefined ? {} : { owner }) })
    const events = [event('env/a', 'ann'), event('env/b', 'bob'), event('vm/b.0', 'bob'), event('host/one'), event('image/free'), event('image/kept', 'bob'), event('image/kept', undefined, 'broken'), event('task/t', 'bob'), event('user/bob', 'bob'), event('token/bob/x', 'bob'), event('token/ann/x', 'ann'), event('env/unowned')]
    const told = async (user: User) => {
      const session = await guard(scripted({ events }).cloud, user).open({ type: 'events' })
      const subjects: string[] = []
      for await (const frame of session.output) if (frame.type === 'event') subjects.push(frame.event.subject)
      return subjects.join(' ')
    }
    assert.equal(await told(ann), 'env/a host/one image/free token/ann/x')
    assert.equal(await told(vera), 'env/a env/b vm/b.0 host/one image/free image/kept image/kept task/t env/unowned')
    assert.equal(await told({ ...vera, ownOnly: true }), 'host/one image/free')
    assert.equal(await told(boss), events.map(({ subject }) => subject).join(' '))
  })
})

describe('a token', () => {
  const make = (user: User, spec: Partial<TokenSpec>, name = 'ann/new') => guard(scripted({ puts: [env('ann')] }).cloud, user).collection('token').put(name, { spec: { sha256: 'a'.repeat(64), ...spec } })

  it('makes none that is worth more or lives longer than itself', async () => {
    const narrow: User = { ...ann, token: { role: 'user' } }
    await assert.rejects(make(narrow, {}), { code: 'denied', message: 'your token has the role user, so it makes only tokens with that role or less' })
    await assert.rejects(make(narrow, { role: 'admin' }), { code: 'denied' })
    await make(narrow, { role: 'user' })
    await make(narrow, { role: 'viewer' })
    const brief: User = { ...ann, token: { expires: '2030-01-01T00:00:00Z' } }
    for (const expires of [undefined, '2030-01-01T00:00:01Z', 'never', '9999-99-99']) await assert.rejects(make(brief, expires === undefined ? {} : { expires }), { code: 'denied' }, expires)
    await make(brief, { expires: '2029-12-31T23:59:59Z' })
    await make({ ...ann, token: {} }, {})
  })

  it('is made for others by admins alone', async () => {
    await assert.rejects(make(ann, {}, 'bob/x'), { code: 'denied', subject: 'token/bob/x' })
    await assert.rejects(make(ann, {}, 'Ann/x'), { code: 'denied' })
    await make(boss, {}, 'bob/x')
    await assert.rejects(make(vera, {}, 'vera/x'), { code: 'denied', message: 'a viewer changes nothing' })
  })
})

it('a viewer that sees only the own may change none of it', async () => {
  const narrow: User = { name: 'ann', role: 'viewer' satisfies Role, ownOnly: true }
  const { cloud, asked } = scripted({ looks: [env('ann')] })
  assert.equal((await guard(cloud, narrow).collection('env').get('demo')).owner, 'ann')
  await assert.rejects(put(cloud, narrow), { code: 'denied' })
  await assert.rejects(guard(cloud, narrow).collection('env').remove('demo'), { code: 'denied' })
  assert.deepEqual(asked, [])
  await assert.rejects(guard(scripted({ looks: [env('bob')] }).cloud, narrow).open({ type: 'logs', vms: { envs: ['demo'] } }), { code: 'not_found' })
})
