import type { Background } from '../base/background.ts'
import type { World } from '../base/world.ts'
import { type HostRecord, keys } from '../model/records.ts'
import type { Store } from '../store/store.ts'
import type { Report } from './report.ts'

/** Seconds a host's presence outlives its last sign of life. */
const leaseSeconds = 10
const retryMs = 1000

/**
 * Says that this host lives and what it is: its presence under a lease that renews itself, its facts whenever they change. A lost
 * lease is taken anew at once; what that means for its VMs is the claims' affair.
 */
export async function runPresence(options: { name: string; store: Store; report: Report; world: World; facts: () => HostRecord; background: Background }): Promise<{ refresh(): void }> {
  const { name, store, report, world, facts, background } = options
  let told = ''
  const tell = async () => {
    const record = facts()
    const text = JSON.stringify(record)
    if (text === told) return
    await report.write({ key: keys.host(name), value: record })
    told = text
  }
  const appear = async () => {
    const lease = await store.lease(leaseSeconds)
    await store.commit([{ key: keys.presence(name), value: { since: new Date(world.now()).toISOString() }, lease: lease.id }])
    return lease
  }
  await tell()
  let lease = await appear()
  background.run('presence', async (signal) => {
    while (!signal.aborted) {
      await new Promise<void>((resolve) => {
        AbortSignal.any([signal, lease.lost]).addEventListener('abort', () => resolve(), { once: true })
      })
      while (!signal.aborted && lease.lost.aborted) {
        try {
          lease = await appear()
        } catch {
          await world.sleep(retryMs, signal) // As when the disk is full: a host that lives must not stay unseen for it.
        }
      }
    }
    await lease[Symbol.asyncDispose]()
  })
  return { refresh: () => background.run('facts', tell) }
}
