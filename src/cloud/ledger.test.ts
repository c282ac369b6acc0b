import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import { fail, type TtError } from '../model/errors.ts'
import { type Demand, minus, nothing, plus } from '../model/expand.ts'
import { keys } from '../model/records.ts'
import { memoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { type Ledger, ledger } from './ledger.ts'
import { type Truth, truth } from './truth.ts'

const total = 20
const asks = (vms: number): Demand => ({ cpu: vms, memMb: vms * 100, diskMb: vms * 10, vms })
/** Users stand for ENVs here: any record that a truth shows will do. */
const noteKey = (name: string) => keys.user(name)

interface Server {
  seen: Truth
  ledger: Ledger
}
const noteOf = ({ seen }: Server, name: string) => seen.users.entry(noteKey(name)) as { value: { vms?: number }; revision: number } | undefined
const vmsOf = (server: Server, name: string) => noteOf(server, name)?.value.vms ?? 0

/** So many servers on one store. */
async function ground(count: number) {
  const stack = new AsyncDisposableStack()
  const store = stack.use(memoryStore({ world }))
  const commits: number[] = []
  const counted: Store = { ...store, commit: (writes, call) => (commits.push(writes.length), store.commit(writes, call)) }
  const servers: Server[] = []
  for (let at = 0; at < count; at++) {
    const seen = stack.use(await truth(store, { world, log: silentLog }))
    servers.push({ seen, ledger: ledger({ store: counted, truth: seen, world }) })
  }
  return { store, commits, servers, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** Sets how many VMs a note asks for, if there is room. */
const set = (server: Server, name: string, vms: number) =>
  server.ledger.change((state) => {
    const seen = noteOf(server, name)
    const used = plus(minus(state.used, asks(seen?.value.vms ?? 0)), asks(vms))
    if (used.cpu > total) fail('exhausted', 'no room', { subject: `env/${name}` })
    if (vms === (seen?.value.vms ?? 0)) return undefined
    return { ...state, used, writes: [{ key: noteKey(name), value: vms === 0 ? null : { vms }, expect: seen?.revision ?? 'absent' }], touches: [name] }
  })

test('[D03] whatever is asked of two servers at once, the ledger is the sum of what is kept, never above the total and never below nothing', async () => {
  const wish = fc.record({ server: fc.nat(1), name: fc.constantFrom('a', 'b', 'c', 'd', 'e'), vms: fc.nat(9) })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(wish, { maxLength: 12 }), { maxLength: 8 }), async (rounds) => {
      await using on = await ground(2)
      for (const round of rounds) {
        const outcomes = await Promise.allSettled(round.map(({ server, name, vms }) => set(on.servers[server] as Server, name, vms)))
        for (const one of outcomes) if (one.status === 'rejected') assert.equal((one.reason as TtError).code, 'exhausted')
        const { items } = await on.store.list(keys.users)
        const sum = items.reduce((all, { value }) => plus(all, asks((value as { vms: number }).vms)), nothing)
        const said = (await on.store.get(keys.ledger))?.value ?? nothing
        assert.deepEqual(said, sum)
        assert.ok(sum.cpu <= total && sum.cpu >= 0)
      }
    }),
    { numRuns: 60 },
  )
})

test('[L02] what comes together is one commit; what touches the same waits for it, and what counts on it too', async () => {
  await using on = await ground(1)
  const [server] = on.servers as [Server]
  const plan = (name: string, more: { touches?: string[]; leans?: string[] }) => server.ledger.change((state) => (vmsOf(server, name) > 0 ? undefined : { ...state, writes: [{ key: noteKey(name), value: { vms: 1 }, expect: 'absent' }], touches: [name], ...more }))
  const lines = async (...plans: Promise<void>[]) => {
    on.commits.length = 0
    await Promise.all(plans)
    return on.commits.map((writes) => writes - 1)
  }
  assert.deepEqual(await lines(plan('a', {}), plan('b', {}), plan('c', {})), [3])
  assert.deepEqual(await lines(plan('d', { touches: ['x'] }), plan('e', { touches: ['x'] }), plan('f', {})), [2, 1])
  assert.deepEqual(await lines(plan('g', { leans: ['image'] }), plan('h', { leans: ['image'] })), [2])
  assert.deepEqual(await lines(plan('i', { leans: ['image'] }), plan('j', { touches: ['image'] })), [1, 1])
  assert.deepEqual(await lines(plan('k', { touches: ['image'] }), plan('l', { leans: ['image'] })), [1, 1])
})

test('one that is refused keeps nobody else, and a race that another lost is not its refusal', async () => {
  await using on = await ground(2)
  const [one, two] = on.servers as [Server, Server]
  const outcomes = await Promise.allSettled([set(one, 'a', 9), set(one, 'b', 12), set(one, 'c', 9), set(two, 'd', 1)])
  assert.deepEqual(outcomes.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  // The second takes what the first gives back, in one commit, or waits for it.
  await Promise.all([set(one, 'a', 0), set(one, 'b', 10)])
  assert.deepEqual((await on.store.get(keys.ledger))?.value, asks(20))
})
