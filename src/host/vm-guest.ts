import { deadline } from '../base/world.ts'
import type { Engine, Inspection } from '../drivers/engine/engine.ts'
import { asTtError, type Problem } from '../model/errors.ts'
import { keys, type VmRecord } from '../model/records.ts'
import type { GuestStatus, VmSpec } from '../model/vm.ts'
import { iso, unstuck, type VmParts, write } from './vm-parts.ts'

/** How long a guest may take to halt when its ENV is stopped. */
const stopGraceMs = 10_000

/** A running guest: opens its channel, says `booting` until it answers and `ready` then, and keeps its network as wanted. */
export async function greet(parts: VmParts, { vm, engine, record, found }: { vm: VmSpec; engine: Engine; record: VmRecord; found: Inspection }): Promise<void> {
  const pid = found.state === 'running' ? found.pid : found.state === 'paused' ? record.pid : undefined
  const trouble = troubleOf(found)
  const channel = parts.guests.meet(vm.id, engine, record.ways ?? parts.images.get(vm.image)?.spec.ways ?? [])
  if (channel && !parts.guests.answered(vm.id)) await parts.breathe() // One that answers at once is ready without a step between.
  // Before it counts as ready: whoever is told so finds his keys in it. That it does not take them does not make it silent.
  const [introduced] = await Promise.allSettled(parts.guests.answered(vm.id) ? [parts.guests.introduce(vm)] : [])
  const state = channel === undefined || parts.guests.answered(vm.id) ? 'ready' : 'booting'
  const guest = parts.guests.status(vm.id)
  if (!(record.state === state && record.pid === pid && !record.halted && record.ran && sameGuest(record.guest, guest) && (record.stuck || record.problem?.message === trouble?.message))) {
    const { problem: _problem, halted: _halted, pid: _pid, guest: _guest, ...rest } = unstuck(record)
    await write(parts, vm.id, { ...rest, state, since: record.state === state ? record.since : iso(parts.world), ran: true, ...(pid === undefined ? {} : { pid }), ...(guest ? { guest } : {}), ...(trouble ? { problem: trouble } : {}) })
  }
  if (introduced?.status === 'rejected') throw asTtError(introduced.reason)
}

/** What keeps a guest from going on that has not ended. */
function troubleOf(found: Inspection): Problem | undefined {
  if (found.state === 'running') return found.trouble === undefined ? undefined : { code: 'exhausted', message: found.trouble }
  return found.state === 'paused' ? { code: 'unavailable', message: 'it is paused: its processors stand still until whoever paused it lets it go on' } : undefined
}

const sameGuest = (one: GuestStatus | undefined, other: GuestStatus | undefined) =>
  one === other || (one?.state === other?.state && one?.way === other?.way && one?.load === other?.load && one?.memUsedMb === other?.memUsedMb)

/** A guest that ended by itself. Before it ever answered that is a failure; later it is its own affair, and told. */
export async function mourn(parts: VmParts, { vm, record, found }: { vm: VmSpec; record: VmRecord; found: Inspection }): Promise<void> {
  await parts.guests.leave(vm.id)
  const exit = found.state === 'stopped' && found.exit !== undefined ? `: ${found.exit}` : ''
  if (record.state === 'booting') return failed(parts, vm, { code: 'failed', message: `the guest ended before it answered${exit}`, remedy: `see what it printed: \`tt env logs ${vm.env} -m ${vm.index}\`` })
  const { pid: _pid, guest: _guest, ...rest } = unstuck(record)
  await write(parts, vm.id, { ...rest, state: 'stopped', since: iso(parts.world), problem: { code: 'failed', message: `the guest ended by itself${exit}` } })
}

/** Halts a guest, in words it understands and then by force, and says that it was not by itself. */
export async function halt(parts: VmParts, { vm, engine, record, found }: { vm: VmSpec; engine: Engine; record?: VmRecord; found: Inspection }): Promise<void> {
  if (found.state === 'running' || found.state === 'paused') {
    // Said before it is done: if this is cut short and the stop is taken back, the VM has not ended by itself.
    if (record && !record.halted) await write(parts, vm.id, { ...record, halted: true })
    using limit = deadline(parts.world, stopGraceMs)
    if (parts.guests.status(vm.id)?.way) await parts.guests.get(vm.id)?.halt?.({ signal: limit.signal }).catch(() => undefined)
    await parts.guests.leave(vm.id)
    await engine.stop(vm.id, stopGraceMs)
  }
  if (!record || (record.halted && record.state === 'stopped')) return
  if (found.state === 'stopped') await engine.stop(vm.id, 0) // A stop that was cut short has left what only a running guest needs.
  const { pid: _pid, problem: _problem, guest: _guest, ...rest } = unstuck(record)
  await write(parts, vm.id, { ...rest, state: 'stopped', halted: true, since: iso(parts.world) })
}

/** A VM that could not be made, with the reason for its ENV. */
export async function failed(parts: VmParts, vm: VmSpec, problem: Problem): Promise<void> {
  const nowhere: VmRecord = { host: parts.name, env: vm.env, index: vm.index, slice: '', ip: '', mac: '', ports: {}, state: 'failed', since: '', starts: vm.starts }
  parts.log.warn('a VM failed', { vm: vm.id, env: vm.env, ...problem })
  const { guest: _guest, ...record } = unstuck(parts.views.vms.get(keys.vm(vm.id)) ?? nowhere)
  await write(parts, vm.id, { ...record, state: 'failed', since: iso(parts.world), problem })
}
