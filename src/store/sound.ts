import type { Log } from '../base/log.ts'
import { keys } from '../model/records.ts'
import type { LeftOut, Revision, Store } from './store.ts'

/** What stands for a record whose text is no JSON, until it is written anew or deleted. */
export const notJson = Object.freeze({ damaged: 'it is not JSON' })

/**
 * The store without those of its records that are not what their keys say: one that is damaged is no reason not to know the others. `whyNot` judges a
 * record; all there are now are judged once, as what this program writes is sound. Of a hidden record `expect: 'absent'` holds, so whoever wrote it writes it
 * anew; only what VMs hang on, the ENVs, is never overwritten by chance.
 */
export async function soundStore(store: Store, whyNot: (key: string, value: unknown) => string | undefined, log: Pick<Log, 'error'>): Promise<Store & { leftOut: LeftOut }> {
  const hidden = new Map<string, Revision>()
  const reasons = new Map<string, string>()
  for (const { key, value, revision } of (await store.list('')).items) {
    const why = value === notJson ? notJson.damaged : whyNot(key, value)
    if (why === undefined) continue
    hidden.set(key, revision)
    reasons.set(key, why)
    log.error('a record cannot be read and is left out', { key, why })
  }
  const commit: Store['commit'] = async (writes, call) => {
    const mine = hidden.size === 0 ? [] : writes.filter(({ key }) => hidden.has(key))
    if (mine.length === 0) return store.commit(writes, call)
    const meant = writes.map((write) => (write.expect === 'absent' && hidden.has(write.key) && !write.key.startsWith(keys.envs) ? { ...write, expect: hidden.get(write.key) as Revision } : write))
    const revision = await store.commit(meant, call)
    for (const { key, value } of mine) {
      if (value === undefined) continue
      hidden.delete(key)
      reasons.delete(key)
    }
    return revision
  }
  return {
    ...store,
    commit,
    async get(key, call) {
      const entry = await store.get(key, call)
      return hidden.has(key) ? undefined : entry
    },
    async list(prefix, call) {
      const { items, revision } = await store.list(prefix, call)
      return { items: hidden.size === 0 ? items : items.filter(({ key }) => !hidden.has(key)), revision }
    },
    leftOut: { why: reasons, whole: { ...store, commit } },
  }
}
