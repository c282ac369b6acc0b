import { breather } from '../base/breather.ts'
import { inspectable } from '../base/inspect.ts'
import type { Log } from '../base/log.ts'
import { Loop } from '../base/loop.ts'
import { type Gate, gate } from '../base/queue.ts'
import { deadline, type World } from '../base/world.ts'
import type { Engine, Inspection } from '../drivers/engine/engine.ts'
import type { VolumeDriver } from '../drivers/volume/volume.ts'
import { asTtError, fail, type Problem, problemOf } from '../model/errors.ts'
import { countVms } from '../model/expand.ts'
import { parseVmId } from '../model/names.ts'
import { keys, lastPart, type VmRecord } from '../model/records.ts'
import type { VmSpec } from '../model/vm.ts'
import type { AddressBook } from './addresses.ts'
import { type Applied, runApplied } from './applied.ts'
import type { Guests } from './guests.ts'
import type { Catalogue, FoundImage } from './images.ts'
import type { Keeping } from './keeping.ts'
import type { Links } from './links.ts'
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
  links: Links
  addresses: AddressBook
  images: Catalogue
  guests: Guests
  keeping: Keeping
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
  /** By engine: what is slow there holds up no other, and never a removal. */
  makes: ReadonlyMap<string, Gate>
  starts: ReadonlyMap<string, Gate>
  removals: Gate
  tries: Map<string, number>
  /** How often each VM could not be made as wanted, one time after the other. */
  faults: Map<string, number>
  /** Passed before each step that many VMs take together. */
  breathe: () => Promise<void>
}

/** Makes every VM this host has claimed be as wanted: made, started, met, stopped, destroyed. Level-triggered, one VM at a time each. */
export function runVms(options: VmOptions): AsyncDisposable & { touch(id: string): void } {
  const { views, world, log, engines } = options
  const parts: Parts = {
    ...options,
    makes: new Map([...engines.keys()].map((name) => [name, gate(madeAtOnce)])),
    starts: new Map([...engines].map(([name, engine]) => [name, gate(engine.features.startsAtOnce ?? madeAtOnce)])),
    removals: gate(madeAtOnce),
    tries: new Map(),
    faults: new Map(),
    breathe: breather(world),
  }
  const applied = runApplied(options)
  const loop = new Loop((id, signal) => followed(parts, { id, applied, signal }), {
    name: 'vms',
    world,
    width: Infinity, // The gates of what is done hold back; a place kept while waiting would hold back what is not slow.
    backoffMs: { first: 200, last: 10_000 },
    onFault: (vm, fault, tries) => log.warn('a VM is not as wanted yet', { vm, fault: String(fault), tries }),
  })
  const mine = (key: string) => views.claims.get(keys.claim(lastPart(key)))?.host === options.name
  const touchEnv = (uid: string) => {
    for (const { key, value } of views.claims.entries(`${keys.claims}${uid}.`)) if (value.host === options.name) loop.touch(lastPart(key))
  }
  const gates = inspectable({ kind: 'gate', name: 'vms', state: () => ({ makes: Object.fromEntries([...parts.makes].map(gateOf)), starts: Object.fromEntries([...parts.starts].map(gateOf)), removals: gateOf(['', parts.removals])[1] }) })
  const stops = [
    views.claims.onChange(({ key }) => mine(key) && loop.touch(lastPart(key))),
    views.envs.onChange(({ key, value }, before) => {
      if (value) touchEnv(value.uid)
      // One nobody could read is gone: only the claims say whose VMs these were.
      else if (!before) for (const { key: claim, value: of } of views.claims.entries()) if (of.env === lastPart(key)) loop.touch(lastPart(claim))
    }),
    options.links.onChange(touchEnv),
    views.phases.onChange(({ value }, before) => value?.phase === 'failed' && before?.phase !== 'failed' && touchEnv(value.uid)),
  ]
  return {
    touch: (id) => loop.touch(id),
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      gates[Symbol.dispose]()
      await loop[Symbol.asyncDispose]()
      await applied[Symbol.asyncDispose]()
    },
  }
}

const gateOf = ([name, { busy, waiting }]: [string, Gate]) => [name, { busy, waiting }] as const

/** A turn that is told of: the cloud hears when the VM is as wanted, and its users why it is not after some tries. */
async function followed(parts: Parts, { id, applied, signal }: { id: string; applied: Applied; signal: AbortSignal }): Promise<void> {
  const look = applied.look(id)
  const told = () => parts.views.vms.get(keys.vm(id))
  try {
    await turn(parts, id, signal)
  } catch (thrown) {
    const record = told()
    const problem = problemOf(asTtError(thrown))
    const tries = (parts.faults.get(id) ?? 0) + 1
    parts.faults.set(id, tries)
    const known = record?.stuck === look.revision && record.problem?.message === problem.message
    if (!signal.aborted && tries >= triesBeforeFailure && record && record.state !== 'failed' && !known) await write(parts, id, { ...record, problem, stuck: look.revision })
    throw thrown
  }
  parts.faults.delete(id)
  const record = told()
  if (record?.stuck !== undefined) {
    const { problem: _problem, ...rest } = unstuck(record)
    await write(parts, id, rest)
  }
  look.done()
}

/** The record of a VM that has got on: whatever is wrong with it then is something else. */
function unstuck(record: VmRecord): VmRecord {
  if (record.stuck === undefined) return record
  const { stuck: _stuck, ...rest } = record
  return rest
}

async function turn(parts: Parts, id: string, signal: AbortSignal): Promise<void> {
  const { views, name } = parts
  await parts.breathe()
  const claim = views.claims.get(keys.claim(id))
  if (claim?.host !== name || views.leftOut.has(keys.env(claim.env))) return
  const vm = views.wish(id)
  if (!vm) return remove(parts, id, signal)
  if (views.leftOut.has(keys.vm(id))) return // What it has is not known: to make it anew would be to take away its disk.
  const record = views.vms.get(keys.vm(id))
  // Its index was another group's, and is wanted again before that VM was gone: it goes first.
  if (record?.image !== undefined && record.image !== vm.image) return remove(parts, id, signal)
  if (record?.state === 'failed' && !vm.stopped) return // Its ENV is told; it is tried again when the ENV was stopped and is started, and goes when that has failed.
  const engine = parts.engines.get(vm.engine) ?? fail('unsupported', `the engine ${vm.engine} is not usable here`)
  const found = await engine.inspect(id)
  const running = found.state === 'running' || found.state === 'paused'
  const linked = (known: VmRecord) => parts.links.follow(vm, known, { running, write: (now) => write(parts, id, now) })
  const follows = record !== undefined && !running && record.state !== 'failed' // What failed may have no place yet.
  if (vm.stopped) return halt(parts, { vm, engine, record: follows ? await linked(record) : record, found })
  const make = () => (parts.makes.get(vm.engine) as Gate).pass(() => start(parts, { vm, engine, signal }))
  if (found.state === 'running' && record) {
    return greet(parts, { vm, engine, record: await linked(record), pid: found.pid, trouble: found.trouble })
  }
  if (found.state === 'running') return destroyLocal(parts, id).then(make)
  if (record === undefined || record.state === 'starting' || record.halted || record.boot !== parts.boot || (record.state === 'stopped' && vm.starts > (record.starts ?? 0))) return make()
  if (record.state === 'booting' || record.state === 'ready') return mourn(parts, { vm, record, found })
  await linked(record) // One that ended by itself keeps its place until it is started again or goes.
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
    const record: VmRecord = { host: name, env: vm.env, index: vm.index, state: 'starting', since: iso(world), boot, agent: image.spec.agent, image: vm.image, starts: vm.starts, ...place, ...(views.vms.get(keys.vm(vm.id))?.ran ? { ran: true } : {}) }
    await write(parts, vm.id, record)
    await parts.breathe()
    const uid = parts.uidOf(place.ip)
    const [disk, nic] = await Promise.all([makeDisk(parts, { vm, image, uid }), parts.links.connect(vm, record)])
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
  const nowhere: VmRecord = { host: parts.name, env: vm.env, index: vm.index, slice: '', ip: '', mac: '', ports: {}, state: 'failed', since: '' }
  parts.log.warn('a VM failed', { vm: vm.id, env: vm.env, ...problem })
  await write(parts, vm.id, { ...unstuck(parts.views.vms.get(keys.vm(vm.id)) ?? nowhere), state: 'failed', since: iso(parts.world), problem })
}

/** A running guest: opens its channel, says `booting` until it answers and `ready` then, and keeps its network as wanted. */
async function greet(parts: Parts, { vm, engine, record, pid, trouble }: { vm: VmSpec; engine: Engine; record: VmRecord; pid?: number; trouble?: string }): Promise<void> {
  const channel = parts.guests.meet(vm.id, engine, record.agent ?? parts.images.get(vm.image)?.spec.agent ?? 'none')
  if (channel && !parts.guests.answered(vm.id)) await parts.breathe() // One that answers at once is ready without a step between.
  const state = channel === undefined || parts.guests.answered(vm.id) ? 'ready' : 'booting'
  if (record.state === state && record.pid === pid && !record.halted && record.ran && (record.stuck || record.problem?.message === trouble)) return
  const { problem: _problem, halted: _halted, pid: _pid, ...rest } = unstuck(record)
  await write(parts, vm.id, { ...rest, state, since: record.state === state ? record.since : iso(parts.world), ran: true, ...(pid === undefined ? {} : { pid }), ...(trouble === undefined ? {} : { problem: { code: 'exhausted', message: trouble } }) })
}

/** A guest that ended by itself. Before it ever answered that is a failure; later it is its own affair, and told. */
async function mourn(parts: Parts, { vm, record, found }: { vm: VmSpec; record: VmRecord; found: Inspection }): Promise<void> {
  await parts.guests.leave(vm.id)
  const exit = found.state === 'stopped' && found.exit !== undefined ? `: ${found.exit}` : ''
  if (record.state === 'booting') return failed(parts, vm, { code: 'failed', message: `the guest ended before it answered${exit}`, remedy: `see what it printed: \`tt env logs ${vm.env} -m ${vm.index}\`` })
  const { pid: _pid, ...rest } = unstuck(record)
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
  if (found.state === 'stopped') await engine.stop(vm.id, 0) // A stop that was cut short has left what only a running guest needs.
  const { pid: _pid, problem: _problem, ...rest } = unstuck(record)
  await write(parts, vm.id, { ...rest, state: 'stopped', halted: true, since: iso(parts.world) })
}

/** Takes a VM away. Its disk is kept before, if that was asked for: that takes long, and no other removal is to wait for it. */
async function remove(parts: Parts, id: string, signal: AbortSignal): Promise<void> {
  await parts.guests.leave(id)
  await parts.keeping.keepIfAsked(id, signal)
  await parts.removals.pass(async () => (signal.aborted ? undefined : destroy(parts, id)))
}

async function destroy(parts: Parts, id: string): Promise<void> {
  await destroyLocal(parts, id)
  await parts.breathe()
  await parts.views.reached(await parts.report.write({ key: keys.vm(id), value: null }, { key: keys.claim(id), value: null }))
  parts.addresses.release(id) // Not before its record is gone, or two records could speak of one address after a crash.
  parts.tries.delete(id)
  parts.faults.delete(id)
}

/** Takes away all there is of the VM on this machine: its process first, so that nothing uses the rest. */
async function destroyLocal(parts: Parts, id: string): Promise<void> {
  await parts.guests.leave(id)
  for (const engine of parts.engines.values()) await engine.destroy(id)
  await Promise.all([parts.links.disconnect(id), parts.volume.destroy(id)])
}

async function write(parts: Parts, id: string, record: VmRecord): Promise<void> {
  await parts.views.reached(await parts.report.write({ key: keys.vm(id), value: record }))
}

const iso = (world: World) => new Date(world.now()).toISOString()
