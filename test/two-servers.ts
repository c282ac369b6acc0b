import { realWorld } from '../src/base/world.ts'
import type { Cloud } from '../src/model/cloud.ts'
import { type Demand, expandOne, nothing, plus } from '../src/model/expand.ts'
import { parseVmId } from '../src/model/names.ts'
import { type ClaimRecord, type EnvRecord, keys, lastPart, type PhaseRecord } from '../src/model/records.ts'
import { memoryStore } from '../src/store/memory.ts'
import type { Store } from '../src/store/store.ts'
import { fakeCloud, type FakeCloudOptions, temporaryDir } from './fake-cloud.ts'

export interface TwoServers extends AsyncDisposable {
  /** The cloud of each server. */
  clouds: [Cloud, Cloud]
  store: Store
  leaks(): Promise<object[]>
}

/** Two servers, each a host and a cluster of its own, on one store; with `lagMs` each sees what the other does so much later at most, and one view later than another. */
export async function twoServers({ lagMs = 0, ...options }: Omit<FakeCloudOptions, 'dir' | 'store'> & { lagMs?: number } = {}): Promise<TwoServers> {
  await using building = new AsyncDisposableStack()
  const store = building.use(memoryStore({ world: realWorld }))
  const seen = lagMs > 0 ? lagging(store, lagMs) : store
  const server = async (name: string) => building.use(await fakeCloud({ ...options, dir: building.use(temporaryDir(name, 'memory')).dir, store: seen, host: { ...options.host, name } }))
  const [one, two] = [await server('one'), await server('two')]
  const stack = building.move()
  return {
    clouds: [one.cloud, two.cloud],
    store,
    leaks: async () => [...(await one.leaks()), ...(await two.leaks())],
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** A store somewhere else: what is asked of it and what it tells takes a while, each watch as long as it likes. */
function lagging(store: Store, lagMs: number): Store {
  const lag = () => new Promise((resolve) => setTimeout(resolve, Math.random() * lagMs))
  return {
    get: (key, call) => store.get(key, call),
    list: (prefix, call) => store.list(prefix, call),
    lease: (seconds, call) => store.lease(seconds, call),
    async commit(writes, call) {
      const kept = structuredClone(writes)
      await lag()
      const revision = await store.commit(kept, call)
      await lag()
      return revision
    },
    async *watch(prefix, from, call) {
      for await (const batch of store.watch(prefix, from, call)) {
        await lag()
        yield batch
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** Follows a store commit by commit and says of each what is wrong with the sums then: of the ledger, and of what VMs on a host want together. */
export function sums(store: Store, { total, hosts }: { total: Demand; hosts: number }): { wrong: string[]; stop(): Promise<void> } {
  const there = new Map<string, unknown>()
  const wrong: string[] = []
  const controller = new AbortController()
  const following = (async () => {
    for await (const batch of store.watch('', 0, { signal: controller.signal })) {
      if (batch.expired) return wrong.push('the watch fell behind')
      for (const { key, value } of batch.changes) {
        if (value === undefined) there.delete(key)
        else there.set(key, value)
      }
      wrong.push(...faultsOf(there, { total, hosts }).map((fault) => `at ${batch.revision}: ${fault}`))
    }
    return 0
  })()
  return {
    wrong,
    async stop() {
      controller.abort()
      await following
    },
  }
}

const fields = ['cpu', 'memMb', 'diskMb', 'vms'] as const
const live = (spec: { cpu: number; memMb: number; diskMb: number; stopped: boolean }): Demand => ({ cpu: spec.stopped ? 0 : spec.cpu, memMb: spec.stopped ? 0 : spec.memMb, diskMb: spec.diskMb, vms: 1 })

function faultsOf(there: ReadonlyMap<string, unknown>, { total, hosts }: { total: Demand; hosts: number }): string[] {
  const faults: string[] = []
  const envs = new Map([...there].flatMap(([key, value]) => (key.startsWith(keys.envs) ? [[(value as EnvRecord).uid, value as EnvRecord] as const] : [])))
  let sum = nothing
  for (const env of envs.values()) {
    const phase = there.get(keys.phase(env.name)) as PhaseRecord | undefined
    if (phase?.uid === env.uid && phase.released) continue
    for (const group of env.spec.groups) {
      for (let index = group.first ?? 0; index < (group.first ?? 0) + group.count; index++) {
        const vm = expandOne(env, index)
        if (vm) sum = plus(sum, live(vm))
      }
    }
  }
  const ledger = (there.get(keys.ledger) ?? nothing) as Demand
  for (const field of fields) {
    if (ledger[field] !== sum[field]) faults.push(`the ledger says ${ledger[field]} ${field}, the ENVs ask for ${sum[field]}`)
    if (ledger[field] > total[field] * hosts) faults.push(`the ledger says ${ledger[field]} ${field} of ${total[field] * hosts}`)
    if (ledger[field] < 0) faults.push(`the ledger says ${ledger[field]} ${field}`)
  }
  const held = new Map<string, Demand>()
  for (const [key, value] of there) {
    if (!key.startsWith(keys.claims)) continue
    const { host } = value as ClaimRecord
    const id = parseVmId(lastPart(key))
    const env = id && envs.get(id.envUid)
    const vm = env && expandOne(env, id.index)
    if (vm) held.set(host, plus(held.get(host) ?? nothing, live(vm)))
  }
  for (const [host, demand] of held) for (const field of fields) if (demand[field] > total[field]) faults.push(`${host} is to hold ${demand[field]} ${field} of ${total[field]}`)
  return faults
}
