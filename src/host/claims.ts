import type { Log } from '../base/log.ts'
import { Loop } from '../base/loop.ts'
import type { World } from '../base/world.ts'
import { type Demand, expand, minus, nothing, plus } from '../model/expand.ts'
import { type ClaimingRecord, type HostRecord, keys, lastPart } from '../model/records.ts'
import type { VmSpec } from '../model/vm.ts'
import { follow } from '../store/follow.ts'
import type { Store } from '../store/store.ts'
import { type HostViews, isWanted } from './views.ts'

export interface ClaimOptions {
  name: string
  store: Store
  views: HostViews
  world: World
  log: Log
  total: () => Demand
  /** Looks up what this host can run now, and tells of each VM whether it has what that needs: engine and image. */
  able: () => (vm: VmSpec) => boolean
}

/** VMs claimed in one commit: few enough that a lost race costs little. */
const perCommit = 400

/**
 * Takes VMs nobody runs, by compare-and-set: of all hosts that want one exactly one gets it. The revisions of the ENV and its phase are checked in the
 * same commit, so nothing is claimed for an ENV that is being removed or has failed. This host's own ledger, the sum of its claims, has the last word on room;
 * whoever lets VMs that are here already grow or start has seen these claims, and is seen by them.
 */
export function runClaims(options: ClaimOptions): AsyncDisposable & { used(): Demand } {
  const { name, views, world, log } = options
  const held = new Map<string, Demand>()
  let used = nothing
  const waiting = new Set<string>()
  const hold = (id: string, demand: Demand | undefined) => {
    used = plus(minus(used, held.get(id) ?? nothing), demand ?? nothing)
    if (demand) held.set(id, demand)
    else held.delete(id)
  }
  const loop = new Loop((env) => turn(options, env, { used: () => used, waiting }), {
    name: 'claims',
    world,
    width: 1, // Two at once would each count on the room the other takes.
    backoffMs: { first: 2, last: 1000 },
    onFault: (env, fault, tries) => (tries > 5 ? log.warn('VMs could not be claimed', { env, fault: String(fault), tries }) : undefined),
  })
  const stops = [
    follow(views.claims, (key, now, before) => {
      const id = lastPart(key)
      if (now?.host === name && !held.has(id)) hold(id, demandOfVm(views.wish(id)))
      else if (!now && before) {
        hold(id, undefined)
        for (const env of waiting) loop.touch(env)
        if (views.wish(id)) loop.touch(before.env) // Taken out and wanted again meanwhile: now somebody may claim it anew.
      }
    }),
    follow(views.envs, (key, now, before) => {
      // What is stopped gives its cpus and memory back, what is started or made larger takes more.
      if (now && before && now.uid === before.uid && (now.spec.stopped !== before.spec.stopped || JSON.stringify(now.spec.groups) !== JSON.stringify(before.spec.groups))) {
        for (const { key: claim } of views.claims.entries(`${keys.claims}${now.uid}.`)) if (held.has(lastPart(claim))) hold(lastPart(claim), demandOfVm(views.wish(lastPart(claim))))
        for (const env of waiting) loop.touch(env)
      }
      loop.touch(lastPart(key))
    }),
    views.phases.onChange(({ key }) => loop.touch(lastPart(key))),
  ]
  return {
    used: () => used,
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      await loop[Symbol.asyncDispose]()
    },
  }
}

async function turn(options: ClaimOptions, envName: string, state: { used(): Demand; waiting: Set<string> }): Promise<number | void> {
  const { name, store, views, world, total, able, log } = options
  state.waiting.delete(envName)
  const growth = views.growths.entry(keys.growth(name))
  await views.reached(growth?.revision ?? 0) // The room that is left is counted with what has grown by then.
  const seen = views.envs.entry(keys.env(envName))
  if (!seen || !isWanted(views.phases, seen.value)) return
  const phase = views.phases.entry(keys.phase(envName))
  const isFor = able()
  let room = minus(total(), state.used())
  let skipped = false
  let batch: VmSpec[] = []
  const flush = async () => {
    if (batch.length === 0) return
    const writes = batch.map((vm) => ({ key: keys.claim(vm.id), value: { host: name, env: envName }, expect: 'absent' as const }))
    batch = []
    const checks = [
      { key: keys.env(envName), expect: seen.revision },
      { key: keys.phase(envName), expect: phase?.revision ?? ('absent' as const) },
      { key: keys.growth(name), expect: growth?.revision ?? ('absent' as const) },
    ]
    const claiming = { key: keys.claiming(name), value: { since: new Date(world.now()).toISOString() } satisfies ClaimingRecord }
    await views.reached(await store.commit([...checks, claiming, ...writes]))
    await world.breathe()
  }
  for (const vm of expand(seen.value)) {
    if (views.claims.get(keys.claim(vm.id))) continue
    const demand = demandOfVm(vm)
    if ((vm.host !== undefined && vm.host !== name) || !isFor(vm) || !fits(demand, room)) {
      skipped = true
      continue
    }
    room = minus(room, demand)
    batch.push(vm)
    if (batch.length >= perCommit) await flush()
  }
  await flush()
  if (!skipped) return
  state.waiting.add(envName)
  log.debug('some VMs of an ENV are not for this host now', { env: envName })
  return claimDelayMs(name, views.hosts.entries().map(({ key, value }) => ({ name: lastPart(key), host: value }))) + 1000
}

const demandOfVm = (vm: VmSpec | undefined): Demand => (vm ? { cpu: vm.stopped ? 0 : vm.cpu, memMb: vm.stopped ? 0 : vm.memMb, diskMb: vm.diskMb, vms: 1 } : nothing)

const fits = (demand: Demand, room: Demand): boolean => demand.cpu <= room.cpu && demand.memMb <= room.memMb && demand.diskMb <= room.diskMb && demand.vms <= room.vms

/** How long a host waits before it claims: the largest, or the only one, not at all; each further one 20 ms more, so that one usually wins unopposed. */
function claimDelayMs(name: string, hosts: { name: string; host: HostRecord }[]): number {
  const order = [...hosts].sort((a, b) => b.host.total.memMb - a.host.total.memMb || a.name.localeCompare(b.name))
  return Math.max(0, order.findIndex((one) => one.name === name)) * 20
}
