import { breather } from '../base/breather.ts'
import type { Log } from '../base/log.ts'
import { Loop } from '../base/loop.ts'
import { batcher, type Gate, gate } from '../base/queue.ts'
import { deadline, type World } from '../base/world.ts'
import type { Engine, Inspection } from '../drivers/engine/engine.ts'
import type { Link, NetworkDriver } from '../drivers/network/network.ts'
import type { VolumeDriver } from '../drivers/volume/volume.ts'
import { asTtError, fail, type Problem, problemOf } from '../model/errors.ts'
import { countVms } from '../model/expand.ts'
import { parseVmId } from '../model/names.ts'
import type { Nic } from '../model/plan.ts'
import { keys, lastPart, type VmRecord } from '../model/records.ts'
import type { VmSpec } from '../model/vm.ts'
import type { AddressBook } from './addresses.ts'
import type { Guests } from './guests.ts'
import type { Catalogue, FoundImage } from './images.ts'
import { planOf } from './plan.ts'
import type { Report } from './report.ts'
import type { HostViews } from './views.ts'

export interface VmOptions {
  name: string
  views: HostViews
  report: Report
  world: World
  log: Log
  engines: ReadonlyMap<string, Engine>
  volume: VolumeDriver
  network: NetworkDriver
  addresses: AddressBook
  images: Catalogue
  guests: Guests
  /** Names the present boot of the machine: VMs of an earlier one are started again. */
  boot: string
  /** Gives each VM a user of its own, or none where the server may not. */
  uidOf: (ip: string) => number | undefined
}

/** How long a guest may take to halt when its ENV is stopped. */
const stopGraceMs = 10_000
const triesBeforeFailure = 3
/** VMs of one engine that are being made at the same time; and VMs being taken away. */
const madeAtOnce = 256

interface Parts extends VmOptions {
  change: (change: { put?: Link; remove?: string }) => Promise<Nic | undefined>
  /** By engine: what is slow there holds up no other, and never a removal. */
  makes: ReadonlyMap<string, Gate>
  starts: ReadonlyMap<string, Gate>
  removals: Gate
  tries: Map<string, number>
  /** Passed before each step that many VMs take together. */
  breathe: () => Promise<void>
  /** What the network driver was last told of each VM's `denyOutgoing`. */
  denied: Map<string, boolean>
}

/** Makes every VM this host has claimed be as wanted: made, started, met, stopped, destroyed. Level-triggered, one VM at a time each. */
export function runVms(options: VmOptions): AsyncDisposable & { touch(id: string): void } {
  const { views, world, log, network, engines } = options
  const parts: Parts = {
    ...options,
    change: coalesced(network),
    makes: new Map([...engines.keys()].map((name) => [name, gate(madeAtOnce)])),
    starts: new Map([...engines].map(([name, engine]) => [name, gate(engine.features.startsAtOnce ?? madeAtOnce)])),
    removals: gate(madeAtOnce),
    tries: new Map(),
    breathe: breather(world),
    denied: new Map(),
  }
  const loop = new Loop((id, signal) => turn(parts, id, signal), {
    world,
    width: Infinity, // The gates of what is done hold back; a place kept while waiting would hold back what is not slow.
    backoffMs: { first: 200, last: 10_000 },
    onFault: (vm, fault, tries) => log.warn('a VM is not as wanted yet', { vm, fault: String(fault), tries }),
  })
  const mine = (key: string) => views.claims.get(keys.claim(lastPart(key)))?.host === options.name
  const touchEnv = (uid: string) => {
    for (const { key, value } of views.claims.entries(`${keys.claims}${uid}.`)) if (value.host === options.name) loop.touch(lastPart(key))
  }
  const stops = [
    views.claims.onChange(({ key }) => mine(key) && loop.touch(lastPart(key))),
    views.envs.onChange(({ value }) => value && touchEnv(value.uid)),
    views.phases.onChange(({ value }, before) => value?.phase === 'failed' && before?.phase !== 'failed' && touchEnv(value.uid)),
  ]
  return {
    touch: (id) => loop.touch(id),
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      await loop[Symbol.asyncDispose]()
    },
  }
}

async function turn(parts: Parts, id: string, signal: AbortSignal): Promise<void> {
  const { views, name } = parts
  await parts.breathe()
  if (views.claims.get(keys.claim(id))?.host !== name) return
  const vm = views.wish(id)
  if (!vm) return parts.removals.pass(async () => (signal.aborted ? undefined : destroy(parts, id)))
  const record = views.vms.get(keys.vm(id))
  if (record?.state === 'failed') return // Its ENV is told; what was made goes when the ENV has failed.
  const engine = parts.engines.get(vm.engine) ?? fail('unsupported', `the engine ${vm.engine} is not usable here`)
  const found = await engine.inspect(id)
  if (vm.stopped) return halt(parts, { vm, engine, record, found })
  const make = () => (parts.makes.get(vm.engine) as Gate).pass(() => start(parts, { vm, engine, signal }))
  if (found.state === 'running' && record) {
    if (parts.denied.get(id) !== vm.denyOutgoing) await connect(parts, vm, record)
    return greet(parts, { vm, engine, record, pid: found.pid })
  }
  if (found.state === 'running') return destroyLocal(parts, id).then(make)
  if (record === undefined || record.state === 'starting' || record.halted || record.boot !== parts.boot) return make()
  if (record.state === 'booting' || record.state === 'ready') return mourn(parts, { vm, record, found })
}

/** Makes the VM, from its address to its process. Its place is on record before anything is made for it. */
async function start(parts: Parts, { vm, engine, signal }: { vm: VmSpec; engine: Engine; signal: AbortSignal }): Promise<void> {
  const { views, addresses, world, name, boot } = parts
  const unwanted = () => signal.aborted || (views.wish(vm.id)?.stopped ?? true) // What changed has touched it: it is looked at again.
  if (unwanted()) return
  const env = views.envOf(parseVmId(vm.id)?.envUid ?? '') ?? fail('internal', 'a VM without an ENV')
  try {
    const image = await parts.images.resolve(vm.image, { signal })
    if (unwanted()) return
    const place = addresses.reserve(vm.id, { env: env.uid, vms: countVms(env.spec), ports: vm.ports })
    const record: VmRecord = { host: name, env: vm.env, index: vm.index, state: 'starting', since: iso(world), boot, agent: image.spec.agent, ...place }
    await write(parts, vm.id, record)
    await parts.breathe()
    const uid = parts.uidOf(place.ip)
    const [disk, nic] = await Promise.all([makeDisk(parts, { vm, image, uid }), connect(parts, vm, record)])
    const plan = planOf(vm, { image, disk, nic: nic ?? fail('internal', 'the network driver gave no card'), uid })
    const started = await (parts.starts.get(vm.engine) as Gate).pass(async () => !unwanted() && (await engine.start(plan), true))
    if (!started) return
    parts.tries.delete(vm.id)
    const found = await engine.inspect(vm.id)
    await greet(parts, { vm, engine, record, pid: found.state === 'running' ? found.pid : undefined })
  } catch (thrown) {
    if (signal.aborted) throw thrown // The server stops: nothing is wrong with the VM.
    await giveUpOrRetry(parts, vm, thrown)
  }
}

/** Makes the VM's place on the network be as wanted. */
async function connect(parts: Parts, vm: VmSpec, record: VmRecord): Promise<Nic | undefined> {
  const nic = await parts.change({ put: linkOf(vm, record, parts.uidOf(record.ip)) })
  parts.denied.set(vm.id, vm.denyOutgoing)
  return nic
}

async function makeDisk({ volume }: Parts, { vm, image, uid }: { vm: VmSpec; image: FoundImage; uid?: number }) {
  if (vm.diskMb === 0) return undefined
  const sizeBytes = Math.max(vm.diskMb * 1024 * 1024, image.base?.sizeBytes ?? 0)
  await volume.create(vm.id, { ...(image.base ? { base: image.base } : {}), sizeBytes, ...(uid === undefined ? {} : { owner: uid }) })
  return volume.attach(vm.id)
}

/** What cannot succeed by itself, and what failed three times, is the VM's end and the reason its ENV is told; all else is tried again. */
async function giveUpOrRetry(parts: Parts, vm: VmSpec, thrown: unknown): Promise<void> {
  const error = asTtError(thrown)
  const tries = (parts.tries.get(vm.id) ?? 0) + 1
  parts.tries.set(vm.id, tries)
  const hopeless = error.code === 'invalid' || error.code === 'unsupported' || error.code === 'not_found' || error.code === 'exhausted'
  if (!hopeless && tries < triesBeforeFailure) throw thrown
  parts.tries.delete(vm.id)
  await failed(parts, vm, problemOf(error))
}

async function failed(parts: Parts, vm: VmSpec, problem: Problem): Promise<void> {
  const known = parts.views.vms.get(keys.vm(vm.id))
  const nowhere = { slice: '', ip: '', mac: '', ports: {} }
  parts.log.warn('a VM failed', { vm: vm.id, env: vm.env, ...problem })
  await write(parts, vm.id, { host: parts.name, env: vm.env, index: vm.index, ...nowhere, ...known, state: 'failed', since: iso(parts.world), problem })
}

/** A running guest: opens its channel, says `booting` until it answers and `ready` then, and keeps its network as wanted. */
async function greet(parts: Parts, { vm, engine, record, pid }: { vm: VmSpec; engine: Engine; record: VmRecord; pid?: number }): Promise<void> {
  const channel = parts.guests.meet(vm.id, engine, record.agent ?? parts.images.get(vm.image)?.spec.agent ?? 'none')
  if (channel && !parts.guests.answered(vm.id)) await parts.breathe() // One that answers at once is ready without a step between.
  const state = channel === undefined || parts.guests.answered(vm.id) ? 'ready' : 'booting'
  if (record.state === state && record.pid === pid && !record.halted) return
  const { problem: _problem, halted: _halted, pid: _pid, ...rest } = record
  await write(parts, vm.id, { ...rest, state, since: iso(parts.world), ...(pid === undefined ? {} : { pid }) })
}

/** A guest that ended by itself. Before it ever answered that is a failure; later it is its own affair, and told. */
async function mourn(parts: Parts, { vm, record, found }: { vm: VmSpec; record: VmRecord; found: Inspection }): Promise<void> {
  await parts.guests.leave(vm.id)
  const exit = found.state === 'stopped' && found.exit !== undefined ? `: ${found.exit}` : ''
  if (record.state === 'booting') return failed(parts, vm, { code: 'failed', message: `the guest ended before it answered${exit}`, remedy: `see what it printed: \`tt env logs ${vm.env} -m ${vm.index}\`` })
  const { pid: _pid, ...rest } = record
  await write(parts, vm.id, { ...rest, state: 'stopped', since: iso(parts.world), problem: { code: 'failed', message: `the guest ended by itself${exit}` } })
}

async function halt(parts: Parts, { vm, engine, record, found }: { vm: VmSpec; engine: Engine; record?: VmRecord; found: Inspection }): Promise<void> {
  if (found.state === 'running' || found.state === 'paused') {
    // Said before it is done: if this is cut short and the stop is taken back, the VM has not ended by itself.
    if (record && !record.halted) await write(parts, vm.id, { ...record, halted: true })
    using limit = deadline(parts.world, stopGraceMs)
    await parts.guests.get(vm.id)?.halt?.({ signal: limit.signal }).catch(() => undefined)
    await parts.guests.leave(vm.id)
    await engine.stop(vm.id, stopGraceMs)
  }
  if (!record || (record.halted && record.state === 'stopped')) return
  const { pid: _pid, problem: _problem, ...rest } = record
  await write(parts, vm.id, { ...rest, state: 'stopped', halted: true, since: iso(parts.world) })
}

async function destroy(parts: Parts, id: string): Promise<void> {
  await destroyLocal(parts, id)
  await parts.breathe()
  await parts.views.reached(await parts.report.write({ key: keys.vm(id), value: null }, { key: keys.claim(id), value: null }))
  parts.addresses.release(id) // Not before its record is gone, or two records could speak of one address after a crash.
  parts.tries.delete(id)
  parts.denied.delete(id)
}

/** Takes away all there is of the VM on this machine: its process first, so that nothing uses the rest. */
async function destroyLocal(parts: Parts, id: string): Promise<void> {
  await parts.guests.leave(id)
  for (const engine of parts.engines.values()) await engine.destroy(id)
  await Promise.all([parts.change({ remove: id }), parts.volume.destroy(id)])
}

/** The VM's wish for the network driver. */
export const linkOf = (vm: { id: string; denyOutgoing: boolean }, record: Pick<VmRecord, 'slice' | 'ip' | 'mac' | 'ports'>, owner?: number): Link => ({
  id: vm.id,
  slice: record.slice,
  ip: record.ip,
  mac: record.mac,
  ports: record.ports,
  denyOutgoing: vm.denyOutgoing,
  ...(owner === undefined ? {} : { owner }),
})

async function write(parts: Parts, id: string, record: VmRecord): Promise<void> {
  await parts.views.reached(await parts.report.write({ key: keys.vm(id), value: record }))
}

/** Changes of links that come together are one change of the machine. */
function coalesced(network: NetworkDriver): Parts['change'] {
  const batch = batcher<{ put?: Link; remove?: string }, Nic | undefined>(async (items) => {
    const put = items.flatMap((item) => item.put ?? [])
    const nics = await network.change({ put, remove: items.flatMap((item) => item.remove ?? []) })
    const byId = new Map(nics.map((nic) => [nic.id, nic]))
    return items.map((item) => (item.put ? byId.get(item.put.id) : undefined))
  })
  return (item) => batch.add(item)
}

const iso = (world: World) => new Date(world.now()).toISOString()
