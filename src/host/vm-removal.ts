import { keys, lastPart } from '../model/records.ts'
import type { VmParts } from './vm-parts.ts'

/** Takes a VM away. Its disk is kept before, if that was asked for: that takes long, and no other removal is to wait for it. */
export async function remove(parts: VmParts, id: string, signal: AbortSignal): Promise<void> {
  await parts.guests.leave(id)
  await parts.keeping.keepIfAsked(id, signal)
  await parts.removals.pass(async () => (signal.aborted ? undefined : destroy(parts, id)))
}

async function destroy(parts: VmParts, id: string): Promise<void> {
  await destroyLocal(parts, id)
  await parts.breathe()
  await parts.views.reached(await parts.report.write({ key: keys.vm(id), value: null }, { key: keys.claim(id), value: null }))
  parts.guests.forget(id, () => isLast(parts, id))
  parts.addresses.release(id) // Not before its record is gone, or two records could speak of one address after a crash.
  parts.tries.delete(id)
  parts.faults.delete(id)
}

/** Takes away all there is of the VM on this machine: its process first, so that nothing uses the rest. */
export async function destroyLocal(parts: VmParts, id: string): Promise<void> {
  await parts.guests.leave(id)
  for (const engine of parts.engines.values()) await engine.destroy(id)
  await Promise.all([parts.links.disconnect(id), parts.volume.destroy(id)])
}

/** Whether no other VM of its ENV is on this host. */
function isLast({ views, name }: VmParts, id: string): boolean {
  const of = id.slice(0, id.lastIndexOf('.') + 1)
  return !views.claims.entries(`${keys.claims}${of}`).some(({ key, value }) => value.host === name && lastPart(key) !== id)
}
