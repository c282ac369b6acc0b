import { readTextNow } from '../base/files.ts'
import type { Gate } from '../base/queue.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import { asTtError, fail, problemOf } from '../model/errors.ts'
import { countVms } from '../model/expand.ts'
import { parseVmId } from '../model/names.ts'
import type { Nic } from '../model/plan.ts'
import { keys, type VmRecord } from '../model/records.ts'
import type { VmSpec } from '../model/vm.ts'
import type { FoundImage } from './images.ts'
import { planOf } from './plan.ts'
import { resolversIn, seedOf } from './seed.ts'
import { failed, greet } from './vm-guest.ts'
import { iso, triesBeforeFailure, type VmParts, write } from './vm-parts.ts'

/** Makes the VM, from its address to its process. Its place is on record before anything is made for it. */
export async function start(parts: VmParts, { vm, engine, signal }: { vm: VmSpec; engine: Engine; signal: AbortSignal }): Promise<void> {
  const { views, addresses, world, name, boot } = parts
  const unwanted = () => signal.aborted || (views.wish(vm.id)?.stopped ?? true) // What changed has touched it: it is looked at again.
  if (unwanted()) return
  const env = views.envOf(parseVmId(vm.id)?.envUid ?? '') ?? fail('internal', 'a VM without an ENV')
  try {
    const image = await parts.images.resolve(vm.image, { signal })
    if (unwanted()) return
    const place = addresses.reserve(vm.id, { env: env.uid, vms: countVms(env.spec), ports: vm.ports })
    const record: VmRecord = { host: name, env: vm.env, index: vm.index, state: 'starting', since: iso(world), boot, ways: image.spec.ways, image: vm.image, starts: vm.starts, ...place, ...(views.vms.get(keys.vm(vm.id))?.ran ? { ran: true } : {}) }
    await write(parts, vm.id, record)
    await parts.breathe()
    const uid = parts.uidOf(place.ip)
    const [disk, nic] = await Promise.all([makeDisk(parts, { vm, image, uid }), parts.links.connect(vm, record)])
    if (!nic) fail('internal', 'the network driver gave no card')
    const plan = planOf(vm, { image, disk, nic, uid, seed: seedFor(parts, { vm, image, nic }) })
    const started = await (parts.starts.get(vm.engine) as Gate).pass(async () => !unwanted() && (await engine.start(plan), true))
    if (!started) return
    parts.tries.delete(vm.id)
    await greet(parts, { vm, engine, record, found: await engine.inspect(vm.id) })
  } catch (thrown) {
    if (signal.aborted) throw thrown // The server stops: nothing is wrong with the VM.
    await giveUpOrRetry(parts, vm, thrown)
  }
}

/** For images that say they look for one. */
function seedFor({ guests, links }: VmParts, { vm, image, nic }: { vm: VmSpec; image: FoundImage; nic: Nic }): Record<string, string> | undefined {
  if (!image.spec.features.includes('cloud-init')) return undefined
  return seedOf({ vm, nic, sshKeys: guests.keysFor(vm, image.spec.ways), dhcp: links.dhcp, resolvers: resolversIn(readTextNow('/etc/resolv.conf') ?? '') })
}

async function makeDisk({ volume }: VmParts, { vm, image, uid }: { vm: VmSpec; image: FoundImage; uid?: number }) {
  if (vm.diskMb === 0) return undefined
  const sizeBytes = Math.max(vm.diskMb * 1024 * 1024, image.base?.sizeBytes ?? 0)
  await volume.create(vm.id, { ...(image.base ? { base: image.base } : {}), sizeBytes, ...(uid === undefined ? {} : { owner: uid }) })
  return volume.attach(vm.id)
}

/** What cannot succeed by itself, and what failed three times, is the VM's end and the reason its ENV is told; all else is tried again. */
async function giveUpOrRetry(parts: VmParts, vm: VmSpec, thrown: unknown): Promise<void> {
  const error = asTtError(thrown)
  const tries = (parts.tries.get(vm.id) ?? 0) + 1
  parts.tries.set(vm.id, tries)
  const hopeless = error.code === 'invalid' || error.code === 'unsupported' || error.code === 'not_found' || error.code === 'exhausted'
  if (!hopeless && tries < triesBeforeFailure) throw thrown
  parts.tries.delete(vm.id)
  await failed(parts, vm, problemOf(error))
}
