import { type ManualWorld, manualWorld } from '../base/manual-world.ts'
import type { World } from '../base/world.ts'
import type { ErrorCode } from '../model/errors.ts'
import type { Batch, Change, Revision, Store, Write } from './store.ts'

/** Where a store lives: opened again after it was closed, a durable one has what it had. */
export interface Place extends AsyncDisposable {
  open(world: World): Promise<Store>
}

/** A store as the suites of its contract see it. */
export interface StoreUnderTest {
  name: string
  durable: boolean
  /** An empty store that ends with the test. */
  opened(test: { after(run: () => Promise<void>): void }): Promise<{ store: Store; world: ManualWorld; reopen(): Promise<Store> }>
}

/** One whose stores live in places of their own. */
export function storeUnderTest({ name, durable, place }: { name: string; durable: boolean; place(): Promise<Place> }): StoreUnderTest {
  return {
    name,
    durable,
    async opened(test) {
      const home = await place()
      const world = manualWorld(7)
      let store = await home.open(world)
      test.after(async () => {
        await store[Symbol.asyncDispose]()
        await home[Symbol.asyncDispose]()
      })
      const reopen = async () => {
        await store[Symbol.asyncDispose]()
        store = await home.open(world)
        return store
      }
      return { store, world, reopen }
    },
  }
}

export const put = (key: string, value: unknown, lease?: string): Write => ({ key, value, lease })
export const drop = (key: string): Write => ({ key, value: null })

export const changesOf = (batch: Batch | undefined): readonly Change[] => (batch && !batch.expired ? batch.changes : [])
export const revisionOf = (batch: Batch): Revision => (batch.expired ? -1 : batch.revision)

/** The first `count` batches, or as many as there are until the watch ends. */
export async function take(batches: AsyncIterable<Batch>, count: number): Promise<Batch[]> {
  const taken: Batch[] = []
  for await (const batch of batches) {
    taken.push(batch)
    if (taken.length === count) break
  }
  return taken
}

/** The error of a promise that must reject with this code. */
export async function refusal(code: ErrorCode, promise: Promise<unknown>): Promise<{ message: string; subject?: string; remedy?: string }> {
  const fault: Error & { code?: unknown } = await promise.then(
    () => new Error('it was not refused'),
    (reason) => reason,
  )
  if (fault.code !== code) throw new Error(`${code} was expected: ${fault.message}`, { cause: fault })
  return fault
}
