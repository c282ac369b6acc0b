import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { manualWorld } from '../base/manual-world.ts'
import type { TtError } from '../model/errors.ts'
import { keys, type TokenRecord, type UserRecord } from '../model/records.ts'
import type { Role, TokenSpec, UserSpec } from '../model/user.ts'
import { memoryStore } from '../store/memory.ts'
import { view } from '../store/view.ts'
import { access } from './access.ts'

const sha256 = (secret: string) => createHash('sha256').update(secret).digest('hex')

async function ground() {
  await using building = new AsyncDisposableStack()
  const world = manualWorld()
  const store = building.use(memoryStore({ world }))
  const onFault = (fault: unknown) => assert.fail(String(fault))
  const users = building.use(await view<UserRecord>(store, keys.users, { world, onFault }))
  const tokens = building.use(await view<TokenRecord>(store, keys.tokens, { world, onFault }))
  const door = building.use(access({ users, tokens, world }))
  const keep = async (key: string, value: unknown) => {
    const revision = await store.commit([{ key, value }])
    await Promise.all([users.reached(revision), tokens.reached(revision)])
  }
  const created = new Date(world.now()).toISOString()
  const stack = building.move()
  return {
    world,
    door,
    user: (name: string, spec: Partial<UserSpec> = {}, uid = `uid-${name}`) => keep(keys.user(name), { name, uid, created, spec: { role: 'user', rights: [], quota: {}, ...spec } }),
    token: (name: string, secret: string, spec: Partial<TokenSpec> = {}, userUid: string | undefined = `uid-${name.split('/')[0]}`) =>
      keep(keys.token(name), { name, uid: 'x', user: name.split('/')[0] ?? '', userUid, created, spec: { sha256: sha256(secret), ...spec } }),
    gone: (key: string) => keep(key, null),
    at: (ms: number) => new Date(world.now() + ms).toISOString(),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

const endOf = (signal?: AbortSignal) => (signal?.aborted ? `${(signal.reason as TtError).code}: ${(signal.reason as TtError).message}` : 'goes on')

describe('access', () => {
  it('J02: knows a caller by the secret and by nothing else', async () => {
    await using at = await ground()
    await at.user('ann', { rights: ['longLife'] })
    await at.token('ann/laptop', 'right')
    const caller = at.door.authenticate('right')
    assert.deepEqual({ ...caller, revoked: undefined }, { user: { name: 'ann', role: 'user', rights: ['longLife'], token: {} }, token: 'ann/laptop', revoked: undefined })
    for (const wrong of ['', 'Right', 'righ', 'right ', 'ann', 'ann/laptop', sha256('right'), 'x'.repeat(100_000)]) assert.equal(at.door.authenticate(wrong), undefined, wrong.slice(0, 80))
  })

  it('ends what a token let in, in the moment it is revoked', async () => {
    await using at = await ground()
    await at.user('ann')
    await at.token('ann/one', 'secret one')
    await at.token('ann/two', 'secret two')
    const [one, two] = [at.door.authenticate('secret one'), at.door.authenticate('secret two')]
    await at.gone(keys.token('ann/one'))
    assert.equal(endOf(one?.revoked), 'unauthenticated: the token was revoked')
    assert.equal(at.door.authenticate('secret one'), undefined)
    assert.equal(endOf(two?.revoked), 'goes on')
    await at.token('ann/two', 'another secret')
    assert.equal(endOf(two?.revoked), 'unauthenticated: the token was revoked')
    assert.equal(at.door.authenticate('secret two'), undefined)
    assert.equal(at.door.authenticate('another secret')?.user.name, 'ann')
  })

  it("takes a removed user's tokens for nothing at once, and for nothing again when the name is given anew", async () => {
    await using at = await ground()
    await at.user('ann')
    await at.token('ann/one', 'secret')
    const caller = at.door.authenticate('secret')
    await at.gone(keys.user('ann'))
    assert.equal(endOf(caller?.revoked), 'unauthenticated: the token was revoked')
    assert.equal(at.door.authenticate('secret'), undefined)
    await at.user('ann', {}, 'uid-of-another')
    assert.equal(at.door.authenticate('secret'), undefined)
    await at.user('ann')
    assert.equal(at.door.authenticate('secret')?.user.name, 'ann')
  })

  it('ends what was let in when the user may do something else, and not when only a quota changes', async () => {
    await using at = await ground()
    await at.user('ann', { role: 'admin' })
    await at.token('ann/one', 'secret')
    const admin = at.door.authenticate('secret')
    assert.equal(admin?.user.role, 'admin')
    await at.user('ann', { role: 'admin', quota: { vms: 3 }, memo: 'on leave' })
    assert.equal(at.door.authenticate('secret'), admin, 'the same one, so that it is counted once')
    await at.user('ann')
    assert.equal(endOf(admin?.revoked), 'unauthenticated: what the token allows has changed')
    assert.equal(at.door.authenticate('secret')?.user.role, 'user')
  })

  it('refuses a token on the second it expires, tells its holder alone, and ends what it let in', async () => {
    await using at = await ground()
    await at.user('ann')
    await at.token('ann/day', 'day', { expires: at.at(86_400_000) })
    await at.token('ann/hour', 'hour', { expires: at.at(3_600_000) })
    const [day, hour] = [at.door.authenticate('day'), at.door.authenticate('hour')]
    await at.world.advance(3_599_999)
    assert.equal(endOf(hour?.revoked), 'goes on')
    assert.equal(at.door.authenticate('hour'), hour)
    await at.world.advance(1)
    assert.equal(endOf(hour?.revoked), 'unauthenticated: the token has expired')
    assert.throws(() => at.door.authenticate('hour'), { code: 'unauthenticated', message: 'the token expired on 2026-01-01T01:00:00.000Z' })
    assert.equal(endOf(day?.revoked), 'goes on')
    await at.world.advance(82_800_000)
    assert.equal(endOf(day?.revoked), 'unauthenticated: the token has expired')
    assert.equal(at.world.timers, 0, 'nobody is left to be looked after')
  })

  it('notices an end soon after the clock was set, and takes a time that is none for over', async () => {
    await using at = await ground()
    await at.user('ann')
    await at.token('ann/day', 'day', { expires: at.at(86_400_000) })
    const day = at.door.authenticate('day')
    at.world.setClock(at.world.now() + 90_000_000)
    assert.throws(() => at.door.authenticate('day'), { code: 'unauthenticated' })
    assert.equal(endOf(day?.revoked), 'unauthenticated: the token has expired')
    await at.token('ann/never', 'never', { expires: 'the day after tomorrow' })
    assert.throws(() => at.door.authenticate('never'), { code: 'unauthenticated' })
  })

  it('takes two tokens with one secret for none', async () => {
    await using at = await ground()
    await at.user('ann')
    await at.user('eve')
    await at.token('ann/one', 'secret')
    const caller = at.door.authenticate('secret')
    await at.token('eve/one', 'secret')
    assert.equal(at.door.authenticate('secret'), undefined)
    assert.equal(endOf(caller?.revoked), 'unauthenticated: the token was revoked')
    await at.gone(keys.token('eve/one'))
    assert.equal(at.door.authenticate('secret')?.user.name, 'ann')
  })

  it('lets a token narrow the role of its user and never widen it, nor what the user sees', async () => {
    const table: [own: Role, token: Role | undefined, role: Role, ownOnly: boolean][] = [
      ['admin', undefined, 'admin', false],
      ['admin', 'admin', 'admin', false],
      ['admin', 'user', 'user', false],
      ['admin', 'viewer', 'viewer', false],
      ['user', undefined, 'user', false],
      ['user', 'admin', 'user', false],
      ['user', 'user', 'user', false],
      ['user', 'viewer', 'viewer', true],
      ['viewer', undefined, 'viewer', false],
      ['viewer', 'admin', 'viewer', false],
      ['viewer', 'user', 'viewer', true],
      ['viewer', 'viewer', 'viewer', false],
    ]
    for (const [own, token, role, ownOnly] of table) {
      await using at = await ground()
      await at.user('ann', { role: own })
      await at.token('ann/one', 'secret', token === undefined ? {} : { role: token })
      const user = at.door.authenticate('secret')?.user
      assert.deepEqual([user?.role, user?.ownOnly ?? false], [role, ownOnly], `${own} with a token of ${String(token)}`)
    }
  })

  it("knows the server's own admin without an account", async () => {
    await using at = await ground()
    await at.token('admin/ci', 'secret', { role: 'viewer' }, undefined)
    assert.equal(at.door.authenticate('secret')?.user.role, 'viewer')
    await at.token('nobody/ci', 'other secret', {}, undefined)
    assert.equal(at.door.authenticate('other secret'), undefined)
  })
})
