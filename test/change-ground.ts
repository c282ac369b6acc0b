import assert from 'node:assert/strict'
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cloud } from '../src/model/cloud.ts'
import { seen } from '../src/model/cloud-under-test.ts'
import type { EnvAsked } from '../src/model/env.ts'
import type { TtError } from '../src/model/errors.ts'
import { type Demand, demandOf, nothing, plus } from '../src/model/expand.ts'
import type { Resource } from '../src/model/kinds.ts'
import type { EnvRecord, PhaseRecord } from '../src/model/records.ts'
import type { TaskState } from '../src/model/task.ts'
import { realWorld } from '../src/base/world.ts'
import { memoryStore } from '../src/store/memory.ts'
import type { Store } from '../src/store/store.ts'
import { type FakeCloud, fakeCloud, type FakeCloudOptions, temporaryDir } from './fake-cloud.ts'

export const asked = (more: Partial<EnvAsked> = {}, group: object = {}): EnvAsked => ({ groups: [{ image: 'fake:micro', count: 2, cpu: 1, memMb: 100, diskMb: 100, ...group }], ...more })

/** Puts, and waits for the end of the task of it. */
export async function put(cloud: Cloud, name: string, spec: EnvAsked, options: { task?: string; owner?: string } = {}): Promise<{ env: Resource<'env'>; task: Resource<'task'> }> {
  const { status } = await cloud.collection('env').put(name, { spec, ...options })
  const task = await ended(cloud, status?.task ?? '')
  return { env: await cloud.collection('env').get(name), task }
}

/** Removes, and waits until nothing of it is left. */
export async function gone(cloud: Cloud, name: string, task = `gone${name}`, keepDisks?: boolean): Promise<Resource<'task'>> {
  await cloud.collection('env').remove(name, { task, ...(keepDisks === undefined ? {} : { keepDisks }) })
  return ended(cloud, task)
}

export const ended = (cloud: Cloud, id: string): Promise<Resource<'task'>> =>
  seen(cloud, 'task', (change) => (change.type === 'is' && change.resource.name === id && !['queued', 'running'].includes(change.resource.status?.state ?? '') ? change.resource : undefined))

/** Waits until a task is in this state. */
export const comes = (cloud: Cloud, id: string, wanted: TaskState): Promise<true> =>
  seen(cloud, 'task', (change) => (change.type === 'is' && change.resource.name === id && state(change.resource) === wanted ? true : undefined))

/** Waits until a VM is as is asked. */
export const vmComes = (cloud: Cloud, name: string, is: (vm: Resource<'vm'>) => boolean): Promise<Resource<'vm'>> =>
  seen(cloud, 'vm', (change) => (change.type === 'is' && change.resource.name === name && is(change.resource) ? change.resource : undefined))

export const state = (task: Resource<'task'>): TaskState | undefined => task.status?.state
export const refused = (promise: Promise<unknown>): Promise<TtError> => promise.then(() => assert.fail('it was not refused'), (error: TtError) => error)
export const vms = async (cloud: Cloud, env: string): Promise<Resource<'vm'>[]> => (await cloud.collection('vm').list({ under: env })).items

/** Waits until it is so. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 20_000; !(await isSo()); ) {
    assert.ok(performance.now() < end, `it did not come to be so: ${String(isSo)}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** What the ledger says, and what the records ask for, added up by hand. */
async function ledgerOf(store: Store): Promise<{ ledger: unknown; sum: Demand }> {
  const { items } = await store.list('desired/')
  const at = <T>(key: string) => items.find((one) => one.key === key)?.value as T | undefined
  const envs = items.flatMap(({ key, value }) => (key.startsWith('desired/env/') ? [value as EnvRecord] : []))
  const held = envs.filter(({ name, uid }) => {
    const phase = at<PhaseRecord>(`desired/phase/${name}`)
    return !(phase?.uid === uid && phase.released)
  })
  return { ledger: at('desired/ledger') ?? nothing, sum: held.reduce((sum, { spec }) => plus(sum, demandOf(spec)), nothing) }
}

/** The ledger is the sum, to the last megabyte. */
export async function exact(store: Store, wanted?: Demand): Promise<void> {
  const { ledger, sum } = await ledgerOf(store)
  assert.deepEqual(ledger, sum)
  if (wanted) assert.deepEqual(ledger, wanted)
}

/** A cloud on the fakes that can be started anew on what it left. */
export async function ground(more: Omit<FakeCloudOptions, 'dir' | 'store'> = {}): Promise<Omit<FakeCloud, 'access'> & { dir: string; again(other?: Partial<FakeCloudOptions>): Promise<void> }> {
  const stack = new AsyncDisposableStack()
  const { dir } = stack.use(temporaryDir('changes', 'memory'))

  const store = stack.use(memoryStore({ world: more.world ?? realWorld }))
  let now = await fakeCloud({ dir, store, ...more })
  stack.defer(() => now[Symbol.asyncDispose]())
  return {
    get cloud() {
      return now.cloud
    },
    store,
    dir,
    leaks: () => now.leaks(),
    async again(other = {}) {
      await now[Symbol.asyncDispose]()
      now = await fakeCloud({ dir, store, ...more, ...other })
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** What a driver does is held until it is let go. */
export function barrier() {
  let held: PromiseWithResolvers<void> | undefined
  return {
    hold: () => void (held ??= Promise.withResolvers<void>()),
    letGo() {
      held?.resolve()
      held = undefined
    },
    /** Resolves at once, or when what holds is let go. */
    pass: async () => held?.promise,
  }
}

/** A directory with images that the fake engine runs. */
export function imageDir(names: readonly string[], defaults: object = { cpu: 1, memMb: 128, diskMb: 1024, ports: [] }): { dir: string } & Disposable {
  const made = temporaryDir('images', 'memory')
  const old = new Date('2020-01-01')
  for (const name of names) {
    const folder = join(made.dir, name)
    mkdirSync(folder)
    writeFileSync(join(folder, 'kernel'), 'none')
    writeFileSync(join(folder, 'image.json'), JSON.stringify({ format: 1, name, engines: ['fake'], boot: 'kernel', kernel: { file: 'kernel', sha256: '0'.repeat(64) }, defaults }))
    for (const file of ['kernel', 'image.json']) utimesSync(join(folder, file), old, old)
  }
  return made
}
