import { batcher } from '../base/queue.ts'
import type { Revision, Store, Write } from '../store/store.ts'

/** What this host says goes to the store in commits of many: reports that come together cost one write to the disk. */
export interface Report {
  write(...writes: Write[]): Promise<Revision>
}

export function report(store: Store): Report {
  const batch = batcher<Write[], Revision>(async (items) => {
    const revision = await store.commit(items.flat())
    return items.map(() => revision)
  }, 500)
  return { write: (...writes) => batch.add(writes) }
}
