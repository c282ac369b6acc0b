import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Cloud } from './cloud.ts'
import { type CloudUnderTest, type Ground, groundOf, refuses, watching } from './cloud-under-test.ts'
import type { EnvAsked } from './env.ts'
import type { TokenSpec, UserAsked } from './user.ts'

interface Cases<S extends Seat> {
  make(): Promise<Peopled<S>>
}

const hash = (letter: string) => letter.repeat(64)

interface Suite {
  name: string
  make: () => Promise<CloudUnderTest>
}

/** What `cloud.ts` promises of accounts and tokens, asked of a Cloud that is given as an `admin` has it. */
export function accountContract({ name, make }: Suite): void {
  const cases = { make: () => peopled(make, ['admin']) }
  describe(`accounts of the Cloud ${name}`, { timeout: 180_000 }, () => {
    accountCases(cases)
    tokenCases(cases)
  })
}

/** What users of each role may see and do, asked of a Cloud that is given as users of every role have it. */
export function roleContract({ name, make }: Suite): void {
  const cases = { make: () => peopled(make, ['admin', 'other', 'viewer']) }
  describe(`users of the Cloud ${name}`, { timeout: 180_000 }, () => {
    userCases(cases)
    otherRoleCases(cases)
  })
}

type Seat = 'admin' | 'other' | 'viewer'
type Peopled<S extends Seat> = Ground & Required<Pick<Ground, S>>

async function peopled<S extends Seat>(make: () => Promise<CloudUnderTest>, seats: S[]): Promise<Peopled<S>> {
  const ground = await groundOf(make)
  for (const seat of seats) assert.ok(ground[seat], `the Cloud is not given as its ${seat} has it`)
  return ground as Peopled<S>
}

function accountCases({ make }: Cases<'admin'>): void {
  describe('accounts', () => {
    it('are kept as they were put, filled in, and only what differs is a change', async () => {
      await using ground = await make()
      const users = ground.admin.collection('user')
      const kept = await users.put('carl', { spec: { rights: ['listAll'], quota: { vms: 3 } }, expect: 'absent', uid: 'uidofcarl' })
      assert.deepEqual([kept.kind, kept.name, kept.uid, kept.owner], ['user', 'carl', 'uidofcarl', 'carl'])
      assert.deepEqual(kept.spec, { role: 'user', rights: ['listAll'], quota: { vms: 3 } })
      assert.deepEqual(kept.status, { envs: 0, used: { cpu: 0, memMb: 0, diskMb: 0, vms: 0 } })
      assert.equal((await users.put('carl', { spec: { rights: ['listAll'], quota: { vms: 3 } } })).revision, kept.revision)
      assert.equal((await users.put('carl', { spec: {}, expect: 'absent', uid: 'uidofcarl' })).revision, kept.revision, 'its own repeat')
      await refuses(users.put('carl', { spec: {}, expect: 'absent' }), 'exists', 'user/carl')
      const changed = await users.put('carl', { spec: { role: 'viewer' }, expect: kept.revision })
      assert.deepEqual([changed.spec.role, changed.uid], ['viewer', kept.uid])
      await refuses(users.put('carl', { spec: {}, expect: kept.revision }), 'conflict', 'user/carl')
      assert.deepEqual((await users.get('carl')).spec, changed.spec)
      assert.ok((await users.list()).items.some(({ name }) => name === 'carl'))
      await users.remove('carl')
      await refuses(users.get('carl'), 'not_found', 'user/carl')
      await refuses(users.remove('carl'), 'not_found', 'user/carl')
    })

    it('are refused with names and specs that are none [J06]', async () => {
      await using ground = await make()
      const { admin } = ground
      for (const name of ['', '..', 'a b', 'a/b', '$(reboot)', '-x', 'ä', 'x'.repeat(64), 'admin']) await refuses(admin.collection('user').put(name, { spec: {} }), 'invalid')
      const bad: unknown[] = [{ role: 'king' }, { rights: ['fly'] }, { quota: { cpu: -1 } }, { quota: { cpu: 1.5 } }, { quota: { gold: 1 } }, { password: 'x' }, 'x', null]
      for (const spec of bad) await refuses(admin.collection('user').put('carl', { spec: spec as UserAsked }), 'invalid')
      await refuses(admin.collection('user').get('carl'), 'not_found', 'user/carl')
    })
  })
}

function tokenCases({ make }: Cases<'admin'>): void {
  describe('tokens', () => {
    it('are kept by the sha256 of their secret, under their user', async () => {
      await using ground = await make()
      const { admin } = ground
      const tokens = admin.collection('token')
      await admin.collection('user').put('carl', { spec: {} })
      const expires = '2099-01-01T00:00:00.000Z'
      const kept = await tokens.put('carl/laptop', { spec: { sha256: hash('a'), expires, role: 'viewer' }, expect: 'absent' })
      assert.deepEqual([kept.name, kept.owner, kept.spec, kept.status], ['carl/laptop', 'carl', { sha256: hash('a'), expires, role: 'viewer' }, { expired: false }])
      assert.deepEqual((await tokens.list({ under: 'carl' })).items.map(({ name }) => name), ['carl/laptop'])
      assert.deepEqual((await tokens.list({ under: 'nobody' })).items, [])
      await refuses(tokens.put('carl/laptop', { spec: { sha256: hash('b') }, expect: 'absent' }), 'exists', 'token/carl/laptop')
      await refuses(tokens.put('carl/other', { spec: { sha256: hash('a') } }), 'conflict', 'token/carl/other')
      await tokens.remove('carl/laptop')
      await refuses(tokens.get('carl/laptop'), 'not_found', 'token/carl/laptop')
      await refuses(tokens.remove('carl/laptop'), 'not_found', 'token/carl/laptop')
    })

    it('are refused with names and specs that are none, and for users that are none', async () => {
      await using ground = await make()
      const { admin } = ground
      await admin.collection('user').put('carl', { spec: {} })
      const tokens = admin.collection('token')
      for (const name of ['', 'carl', 'carl/', '/x', 'carl/a/b', 'carl/..', 'carl/a b']) await refuses(tokens.put(name, { spec: { sha256: hash('a') } }), 'invalid')
      const bad: unknown[] = [{}, { sha256: 'secret' }, { sha256: hash('A') }, { sha256: hash('a'), expires: 'soon' }, { sha256: hash('a'), expires: '2001-01-01T00:00:00Z' }, { sha256: hash('a'), role: 'admin' }, { sha256: hash('a'), secret: 'x' }]
      for (const spec of bad) await refuses(tokens.put('carl/x', { spec: spec as TokenSpec }), 'invalid', 'token/carl/x')
      await refuses(tokens.put('nobody/x', { spec: { sha256: hash('a') } }), 'not_found', 'user/nobody')
      assert.deepEqual((await tokens.list({ all: true })).items.filter(({ owner }) => owner === 'carl'), [])
    })

    it('go with their user, and watches tell', async () => {
      await using ground = await make()
      const { admin } = ground
      await admin.collection('user').put('carl', { spec: {} })
      await admin.collection('token').put('carl/x', { spec: { sha256: hash('a') } })
      await using watch = watching(admin, 'token', 'carl')
      await watch.until((change) => change.type === 'synced' || undefined)
      await admin.collection('user').remove('carl')
      await watch.until((change) => (change.type === 'gone' && change.name === 'carl/x') || undefined)
      await admin.collection('user').put('carl', { spec: {} })
      await refuses(admin.collection('token').get('carl/x'), 'not_found', 'token/carl/x')
    })

    it('are as many as anybody needs', async () => {
      await using ground = await make()
      const { admin } = ground
      await admin.collection('user').put('carl', { spec: {} })
      const put = (at: number) => admin.collection('token').put(`carl/t${at}`, { spec: { sha256: at.toString(16).padStart(64, '0') } })
      for (let at = 0; at < 100; at++) await put(at)
      await refuses(put(100), 'exhausted', 'token/carl/t100')
      await put(99)
    })
  })
}

function userCases({ make }: Cases<Seat>): void {
  describe('an ordinary user', () => {
    it('has an account that stays while there are ENVs, and counts what these use', async () => {
      await using ground = await make()
      const { admin, cloud, asked } = ground
      const { user } = await cloud.about()
      await cloud.collection('env').put('demo', { spec: asked(2) })
      const { status } = await admin.collection('user').get(user)
      assert.deepEqual(status, { envs: 1, used: { cpu: 2, memMb: 200, diskMb: 200, vms: 2 } })
      await refuses(admin.collection('user').remove(user), 'conflict', `user/${user}`)
    })

    it('sees the own account, and changes none', async () => {
      await using ground = await make()
      const { other } = ground
      const { user } = await other.about()
      assert.deepEqual((await other.collection('user').list({ all: true })).items.map(({ name }) => name), [user])
      assert.equal((await other.collection('user').get(user)).name, user)
      for (const name of ['nobody', (await ground.cloud.about()).user]) await refuses(other.collection('user').get(name), 'not_found', `user/${name}`)
      for (const name of ['nobody', user]) {
        await refuses(other.collection('user').put(name, { spec: { role: 'admin' } }), 'denied', `user/${name}`)
        await refuses(other.collection('user').remove(name), 'denied', `user/${name}`)
      }
    })

    it('makes, sees and revokes the own tokens, and knows of no others', async () => {
      await using ground = await make()
      const { cloud, other } = ground
      const [mine, theirs] = [(await cloud.about()).user, (await other.about()).user]
      await cloud.collection('token').put(`${mine}/extra`, { spec: { sha256: hash('e') } })
      assert.ok((await cloud.collection('token').list()).items.some(({ name }) => name === `${mine}/extra`))
      assert.ok((await other.collection('token').list({ all: true })).items.every(({ owner }) => owner === theirs))
      for (const name of [`${mine}/extra`, `${mine}/none`]) {
        await refuses(other.collection('token').get(name), 'not_found', `token/${name}`)
        await refuses(other.collection('token').remove(name), 'not_found', `token/${name}`)
        await refuses(other.collection('token').put(name, { spec: { sha256: hash('f') } }), 'denied', `token/${name}`)
      }
      await cloud.collection('token').remove(`${mine}/extra`)
    })

    it('sees and cancels no tasks of others', async () => {
      await using ground = await make()
      const { cloud, other } = ground
      const { status } = await ground.ready('demo')
      const task = status?.task ?? assert.fail('the ENV names no task')
      assert.equal((await cloud.collection('task').get(task)).spec.subject, 'env/demo')
      assert.deepEqual((await other.collection('task').list({ all: true })).items, [])
      for (const name of [task, 'none']) {
        await refuses(other.collection('task').get(name), 'not_found', `task/${name}`)
        await refuses(other.collection('task').remove(name), 'not_found', `task/${name}`)
      }
    })

    it('gives nothing to others and no life that is not theirs to give', async () => {
      await using ground = await make()
      const { cloud, other, asked } = ground
      const envs = other.collection('env')
      const { user } = await cloud.about()
      for (const owner of [user, 'nobody']) await refuses(envs.put('gift', { spec: asked(), owner }), 'denied', 'env/gift')
      const lives: Partial<EnvAsked>[] = [{ lifetimeSeconds: null }, { longLife: true }, { lifetimeSeconds: 30_000, longLife: true }]
      for (const life of lives) await refuses(envs.put('long', { spec: asked(1, life) }), 'denied', 'env/long')
      await refuses(envs.put('long', { spec: asked(1, { lifetimeSeconds: 30_000 }) }), 'invalid', 'env/long')
      assert.deepEqual((await envs.list()).items, [])
    })

    it('reads nothing out of refusals: what is hidden and what never was are refused in the same words', async () => {
      await using ground = await make()
      const { other, commands } = ground
      await ground.ready('wixo')
      const asks: ((name: string) => Promise<unknown>)[] = [
        (name) => other.collection('env').get(name),
        (name) => other.collection('env').remove(name),
        (name) => other.collection('env').put(name, { spec: ground.asked(), expect: '1' }),
        (name) => other.collection('vm').get(`${name}.0`),
        (name) => other.collection('vm').list({ under: name }),
        (name) => watching(other, 'vm', name).until(() => true),
        (name) => other.collection('task').list({ under: name }),
        (name) => other.open({ type: 'exec', vms: { envs: [name] }, command: commands.echo('x') }),
        (name) => other.open({ type: 'logs', vms: { envs: [name], indices: [7] } }),
        (name) => other.open({ type: 'ping', vms: { envs: [name] }, timeoutMs: 100 }),
        (name) => other.collection('env').put(`to-${name}`, { spec: ground.asked(1, { peers: [name] }) }).then(({ spec }) => spec.peers),
      ]
      for (const [at, ask] of asks.entries()) {
        const said = async (name: string) => {
          const said = await ask(name).then((value) => ({ value }), (thrown: Error) => ({ ...thrown, message: thrown.message }))
          return JSON.stringify(said).replaceAll(name, 'NAME')
        }
        const hidden = await said('wixo')
        // A name is taken, over all users: that much a put tells.
        if (at === 2) assert.match(hidden, /the name NAME is taken/)
        else assert.equal(hidden, await said('nixo'), `ask ${at}`)
      }
    })
  })
}

function otherRoleCases({ make }: Cases<Seat>): void {
  describe('a viewer', () => {
    it("looks at everybody's, with `all`", async () => {
      await using ground = await make()
      const { viewer } = ground
      assert.equal((await viewer.about()).role, 'viewer')
      const { uid, status } = await ground.ready('demo', 2)
      assert.deepEqual((await viewer.collection('env').list()).items, [])
      assert.deepEqual((await viewer.collection('env').list({ all: true })).items.map((env) => [env.uid, env.reduced]), [[uid, undefined]])
      assert.equal((await viewer.collection('env').get('demo')).uid, uid)
      assert.equal((await viewer.collection('vm').get('demo.1')).owner, (await ground.cloud.about()).user)
      assert.equal((await viewer.collection('vm').list({ under: 'demo' })).items.length, 2)
      assert.equal((await viewer.collection('task').get(status?.task ?? '')).spec.subject, 'env/demo')
      await using watch = watching(viewer, 'vm', 'demo')
      await watch.until((change) => (change.type === 'is' && change.resource.name === 'demo.1') || undefined)
    })

    it('changes nothing and reaches into no guest', async () => {
      await using ground = await make()
      const { viewer, commands, image } = ground
      const { uid, spec, status } = await ground.ready('demo')
      const { user } = await viewer.about()
      await refuses(viewer.collection('env').put('mine', { spec: ground.asked() }), 'denied', 'env/mine')
      await refuses(viewer.collection('env').put('demo', { spec: spec as EnvAsked }), 'denied', 'env/demo')
      await refuses(viewer.collection('env').remove('demo'), 'denied', 'env/demo')
      await refuses(viewer.collection('task').remove(status?.task ?? ''), 'denied')
      await refuses(viewer.collection('image').remove(image), 'denied')
      await refuses(viewer.collection('token').put(`${user}/x`, { spec: { sha256: hash('c') } }), 'denied')
      await refuses(viewer.open({ type: 'exec', vms: { envs: ['demo'] }, command: commands.echo('x') }), 'denied', 'exec')
      await refuses(viewer.open({ type: 'console', vms: { envs: ['demo'] } }), 'denied', 'console')
      await refuses(viewer.open({ type: 'ping', vms: { envs: ['demo'] }, timeoutMs: 100 }), 'denied', 'ping')
      for (const type of ['audit', 'doctor', 'reload'] as const) await refuses(viewer.open({ type }), 'denied', type)
      await refuses(viewer.open({ type: 'build', image }), 'denied', 'build')
      await using logs = await viewer.open({ type: 'logs', vms: { envs: ['demo'] } })
      assert.equal((await logs.output.getReader().read()).value?.type, 'begin')
      assert.equal((await ground.cloud.collection('env').get('demo')).uid, uid)
    })
  })

  describe('an admin', () => {
    it("acts on anybody's, and lists the own unless all are wanted", async () => {
      await using ground = await make()
      const { admin, other, asked } = ground
      const [me, them] = [(await admin.about()).user, (await other.about()).user]
      await other.collection('env').put('theirs', { spec: asked() })
      await admin.collection('env').put('mine', { spec: asked() })
      const given = await admin.collection('env').put('given', { spec: asked(), owner: them })
      assert.equal(given.owner, them)
      await refuses(admin.collection('env').put('lost', { spec: asked(), owner: 'nobody' }), 'not_found', 'user/nobody')
      assert.deepEqual((await admin.collection('env').list()).items.map(({ name, owner }) => [name, owner]), [['mine', me]])
      assert.deepEqual((await admin.collection('env').list({ all: true })).items.map(({ name, owner }) => [name, owner]), [['given', them], ['mine', me], ['theirs', them]])
      const long = await admin.collection('env').put('theirs', { spec: asked(1, { lifetimeSeconds: null }) })
      assert.deepEqual([long.owner, long.spec.lifetimeSeconds], [them, null], 'it stays whose it is')
      assert.equal((await other.collection('env').put('theirs', { spec: asked(1, { lifetimeSeconds: null, denyOutgoing: true }) })).spec.lifetimeSeconds, null, 'what an admin gave may stay')
      await admin.collection('env').remove('theirs')
      const left = await other.collection('env').get('theirs').catch(() => undefined)
      assert.ok(left === undefined || left.removing !== undefined)
    })
  })
}

/** A Cloud in which these accounts are there. */
export async function withAccounts(admin: Cloud, accounts: Record<string, UserAsked>): Promise<void> {
  for (const [name, spec] of Object.entries(accounts)) await admin.collection('user').put(name, { spec })
}
