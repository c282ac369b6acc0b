import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import { keys } from '../model/records.ts'
import { memoryStore } from '../store/memory.ts'
import { runApplied } from './applied.ts'
import { report } from './report.ts'
import { hostViews } from './views.ts'

const uid = 'uid1'
const id = (index: number) => `${uid}.${index}`

/** A host that holds VMs of one ENV, as its store has it. */
async function ground() {
  const stack = new AsyncDisposableStack()
  const store = stack.use(memoryStore({ world }))
  const views = stack.use(await hostViews(store, { world, log: silentLog }))
  const start = () => runApplied({ name: 'one', views, report: report(store), world })
  let applied = start()
  stack.defer(() => applied[Symbol.asyncDispose]())
  const commit = async (...writes: { key: string; value: unknown }[]) => {
    const revision = await store.commit(writes)
    await views.reached(revision)
    return revision
  }
  return {
    look: (index: number) => applied.look(id(index)),
    /** The ENV is wanted otherwise than before. */
    change: () => commit({ key: keys.env('demo'), value: { name: 'demo', uid, owner: 'ann', created: '', spec: { groups: [] } } }),
    claim: (...indices: number[]) => commit(...indices.map((index) => ({ key: keys.claim(id(index)), value: { host: index < 90 ? 'one' : 'two', env: 'demo' } }))),
    lose: (...indices: number[]) => commit(...indices.map((index) => ({ key: keys.claim(id(index)), value: null }))),
    async told() {
      await new Promise((resolve) => setTimeout(resolve, 10))
      return ((await store.get(keys.applied(uid, 'one')))?.value as { revision: number } | undefined)?.revision
    },
    async again() {
      await applied[Symbol.asyncDispose]()
      applied = start()
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('a revision is told when every VM of this host was made as wanted since it, and not before', async () => {
  await using on = await ground()
  const first = await on.change()
  await on.claim(0, 1, 99)
  on.look(0).done()
  on.look(0).done()
  assert.equal(await on.told(), undefined)
  on.look(1).done()
  assert.equal(await on.told(), first, "another host's VMs are that host's to tell of")
  const second = await on.change()
  on.look(0).done()
  assert.equal(await on.told(), first)
  on.look(1).done()
  assert.equal(await on.told(), second)
})

test('what was looked at before the change does not speak of it', async () => {
  await using on = await ground()
  const first = await on.change()
  await on.claim(0)
  on.look(0).done()
  assert.equal(await on.told(), first)
  const early = on.look(0)
  const second = await on.change()
  early.done()
  assert.equal(await on.told(), first)
  on.look(0).done()
  early.done()
  assert.equal(await on.told(), second)
  await on.claim(1)
  const late = on.look(1)
  const third = await on.change()
  late.done()
  on.look(0).done()
  assert.equal(await on.told(), second)
  on.look(1).done()
  assert.equal(await on.told(), third)
})

test('VMs that come have to be made first, those that go are waited for no longer; with the last the word goes', async () => {
  await using on = await ground()
  await on.change()
  await on.claim(0, 1)
  on.look(0).done()
  const second = await on.change()
  await on.claim(2)
  on.look(0).done()
  on.look(2).done()
  await on.lose(1)
  assert.equal(await on.told(), second)
  await on.lose(2)
  on.look(1).done()
  assert.equal(await on.told(), second)
  const third = await on.change()
  on.look(0).done()
  assert.equal(await on.told(), third)
  await on.claim(3, 4, 5)
  on.look(3).done()
  await on.lose(3) // It was not among those that are waited for.
  const fourth = await on.change()
  on.look(0).done()
  on.look(4).done()
  await on.lose(4)
  assert.equal(await on.told(), third)
  on.look(5).done()
  assert.equal(await on.told(), fourth)
  await on.lose(0, 5)
  assert.equal(await on.told(), undefined)
})

test('a server that starts looks at all of them again, and takes back what it said of an ENV that left meanwhile', async () => {
  await using on = await ground()
  const first = await on.change()
  await on.claim(0)
  on.look(0).done()
  assert.equal(await on.told(), first)
  await on.again()
  const second = await on.change()
  assert.equal(await on.told(), first)
  on.look(0).done()
  assert.equal(await on.told(), second)
  await on.again()
  await on.lose(0)
  assert.equal(await on.told(), undefined)
})
