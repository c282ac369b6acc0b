import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { asTtError, TtError } from '../src/model/errors.ts'
import { type Demand, nothing } from '../src/model/expand.ts'
import { asked, ended, exact, gone, put, state, until, vmComes } from './change-ground.ts'
import { sums, twoServers, type TwoServers } from './two-servers.ts'

const total: Demand = { cpu: 8, memMb: 800, diskMb: 2400, vms: 100 }
const deadlineSeconds = 2

interface Op {
  what: 'create' | 'start' | 'stop' | 'kick' | 'count' | 'size' | 'life' | 'remove'
  server: 0 | 1
  env: number
  a: number
}
const op: fc.Arbitrary<Op> = fc.record({
  what: fc.constantFrom('create', 'create', 'create', 'create', 'create', 'start', 'start', 'start', 'stop', 'stop', 'kick', 'count', 'size', 'life', 'remove'),
  server: fc.constantFrom(0 as const, 1 as const),
  env: fc.nat(5),
  a: fc.nat(3),
})

/** What may be answered while others change the same. */
const usual = ['exhausted', 'conflict', 'not_found', 'not_ready', 'exists', 'invalid']

/** Does one thing through one of the servers; gives the id of the task. */
async function done({ clouds }: TwoServers, { what, server, env, a }: Op): Promise<string | undefined> {
  const envs = clouds[server].collection('env')
  const name = `e${env}`
  const changed = async (change: (spec: Awaited<ReturnType<typeof envs.get>>['spec']) => object) => {
    const { spec, revision } = await envs.get(name)
    return (await envs.put(name, { spec: { ...spec, ...change(spec) }, expect: revision })).status?.task
  }
  const group = (change: object) => changed(({ groups }) => ({ groups: groups.map((one, at) => (at === 0 ? { ...one, ...change } : one)) }))
  if (what === 'create') return (await envs.put(name, { spec: asked({ deadlineSeconds }, { count: a + 1 }), expect: 'absent' })).status?.task
  if (what === 'start' || what === 'stop') return changed(() => ({ stopped: what === 'stop' }))
  if (what === 'kick') return changed(({ kicked }) => ({ kicked: [...new Set([...kicked, a])] }))
  if (what === 'count') return group({ count: a + 1 })
  if (what === 'size') return group({ cpu: 1 + (a % 2), memMb: 100 + a * 20 })
  if (what === 'life') return changed(() => ({ lifetimeSeconds: 3600 + a }))
  const task = `rm${server}${env}${Math.floor(Math.random() * 1e9)}`
  await envs.remove(name, { task })
  return (await clouds[server].collection('task').get(task).catch(() => undefined))?.name
}

test('[D03] two servers on one store: whatever both do at once, the ledger is exact, no host has more than it holds, and every task ends', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(op, { minLength: 2, maxLength: 6 }), { minLength: 8, maxLength: 20 }), async (rounds) => {
      await using servers = await twoServers({ total, lagMs: 8, engine: { bootMs: 5 } })
      const { clouds, store } = servers
      const watched = sums(store, { total, hosts: 2 })
      const tasks = new Set<string>()
      for (const round of rounds) {
        const outcomes = await Promise.all(round.map((one) => done(servers, one).then((task) => ({ task }), (thrown: unknown) => ({ thrown, one }))))
        for (const outcome of outcomes) {
          if ('thrown' in outcome) assert.ok(outcome.thrown instanceof TtError && usual.includes(asTtError(outcome.thrown).code), `${JSON.stringify(outcome.one)}: ${String(outcome.thrown)}`)
          else if (outcome.task !== undefined) tasks.add(outcome.task)
        }
      }
      for (const task of tasks) {
        const { status, spec } = await ended(clouds[0], task)
        assert.notEqual(status?.problem?.code, 'timeout', `${task} ${spec.verb} ${status?.problem?.message}`)
      }
      for (const { name } of (await clouds[1].collection('env').list()).items) await clouds[1].collection('env').remove(name, { task: `all${name}` }).then(() => ended(clouds[0], `all${name}`), (error: TtError) => assert.equal(error.code, 'not_found'))
      await until(async () => (await store.list('desired/env/')).items.length === 0)
      await exact(store, nothing)
      await watched.stop()
      assert.deepEqual(watched.wrong.slice(0, 5), [])
      assert.deepEqual((await store.list('claim/')).items, [])
      assert.deepEqual((await store.list('actual/vm/')).items, [])
      assert.deepEqual(await servers.leaks(), [])
    }),
    { numRuns: Number(process.env['TT_RUNS'] ?? 8), seed: Number(process.env['TT_SEED'] ?? 3), endOnFailure: true },
  )
})

test('fault 14: [B12 D03] a start and a claim of the same room at the same moment: one of them gets it', { timeout: 60_000 }, async () => {
  await using servers = await twoServers({ total: { ...total, cpu: 4 }, lagMs: 6 })
  const { clouds: [one, two], store } = servers
  const watched = sums(store, { total: { ...total, cpu: 4 }, hosts: 2 })
  const host = { host: 'one', deadlineSeconds: 1 }
  await put(one, 'there', asked(host, { count: 4 }))
  let refusals = 0
  for (let round = 0; round < 12; round++) {
    await put(one, 'there', asked({ ...host, stopped: true }, { count: 4 }))
    const created = await two.collection('env').put('other', { spec: asked(host, { count: 1 }) })
    if (round === 0) await vmComes(two, 'other.0', ({ status }) => status?.host === 'one')
    else await new Promise((resolve) => setTimeout(resolve, Math.random() * 30))
    const started = await put(one, 'there', asked(host, { count: 4 })).then(({ task }) => state(task), (error: { code: string; message: string }) => (refusals++, assert.match(error.message, /not enough cpu on its host one/), 'refused'))
    const made = await ended(two, created.status?.task ?? '')
    assert.ok((started === 'done') !== (state(made) === 'done'), `start ${started}, creation ${state(made)}`)
    await gone(two, 'other', `gone${round}`)
  }
  assert.ok(refusals > 0, 'of the first round at least')
  await watched.stop()
  assert.deepEqual(watched.wrong, [])
})

test('fault 14: [B12 D05] two ENVs that are to start, or to grow, on one host at the same moment: it holds one of them', { timeout: 60_000 }, async () => {
  const small = { ...total, cpu: 4, memMb: 1000, diskMb: 1000 }
  await using servers = await twoServers({ total: small, lagMs: 4 })
  const { clouds: [one, two], store } = servers
  const watched = sums(store, { total: small, hosts: 2 })
  const spec = (more: object, group: object = {}) => asked({ host: 'one', ...more }, { count: 1, cpu: 4, memMb: 100, diskMb: 100, ...group })
  for (const name of ['a', 'b']) {
    await put(one, name, spec({}))
    await put(one, name, spec({ stopped: true }))
  }
  const both = (by: typeof two, change: object, group: object = {}) =>
    Promise.all([one.collection('env').put('a', { spec: spec(change, group) }), by.collection('env').put('b', { spec: spec(change, group) })].map((each) => each.then(({ status }) => ended(one, status?.task ?? '').then((task) => String(state(task))), (error: TtError) => error.message)))
  for (const by of [one, two]) {
    const [first, second] = (await both(by, { stopped: false })).sort()
    assert.equal(first, 'done')
    assert.match(second ?? '', /^not enough cpu on its host one: 4 cpus in all, 4 cpus/)
    for (const name of ['a', 'b']) await put(one, name, spec({ stopped: true }))
  }
  const [first, second] = (await both(two, { stopped: true }, { diskMb: 850 })).sort()
  assert.equal(first, 'done')
  assert.match(second ?? '', /^not enough disk on its host one: 1000 MB in all, 850 MB/)
  await watched.stop()
  assert.deepEqual(watched.wrong, [])
})
