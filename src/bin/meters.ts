import { inspected } from '../base/inspect.ts'
import type { Lag } from '../base/lag.ts'
import type { LoopState } from '../base/loop.ts'
import type { RootLog } from '../base/log.ts'
import { byLabel, type Meter, meterText, single } from '../base/meters.ts'
import type { Effects } from '../base/effects.ts'
import type { World } from '../base/world.ts'
import { countVms, type Demand } from '../model/expand.ts'
import { type EnvRecord, type HostRecord, keys, lastPart, type PhaseRecord, type VmRecord } from '../model/records.ts'
import type { StoreMeter } from '../store/metered.ts'
import type { Store } from '../store/store.ts'

export interface Metered {
  version: string
  world: World
  store: Store
  commits: Readonly<StoreMeter>
  effects: Effects
  log: RootLog
  lag: Lag
  /** This host, by its name and the public ports it may give. */
  place: { name: string; portFrom: number; portTo: number }
}

/** What an operator watches: the lines of `/metrics` that are not about HTTP. */
export function serverMeters(parts: Metered): () => Promise<string> {
  const started = parts.world.now() / 1000
  return async () => meterText([...ofProcess(parts, started), ...(await ofCloud(parts)), ...ofWork(parts)])
}

const ofProcess = ({ version, world, lag }: Metered, started: number): Meter[] => [
  { name: 'tt_build_info', type: 'gauge', help: 'Always 1; the labels say what runs', samples: [{ labels: { version, node: process.version }, value: 1 }] },
  single('process_start_time_seconds', 'gauge', 'When it was started, in seconds since 1970', started),
  single('tt_uptime_seconds', 'gauge', 'How long it has been serving', Math.max(0, world.now() / 1000 - started)),
  single('tt_event_loop_looks_total', 'counter', 'Times it was measured how late the event loop is', lag.looks),
  single('tt_event_loop_lag_seconds_total', 'counter', 'How late it was, all looks together', lag.seconds),
  single('tt_event_loop_lag_worst_seconds', 'gauge', 'How late it was at the worst in the last minute', lag.worst()),
]

async function ofCloud({ store, place }: Metered): Promise<Meter[]> {
  const of = async <T>(prefix: string) => (await store.list(prefix)).items as readonly { key: string; value: T }[]
  const [envs, phases, vms, hosts, presences] = await Promise.all([of<EnvRecord>(keys.envs), of<PhaseRecord>(keys.phases), of<VmRecord>(keys.vms), of<HostRecord>(keys.hosts), of(keys.presences)])
  const ledger = (await store.get(keys.ledger))?.value as Demand | undefined
  const alive = new Set(presences.map(({ key }) => lastPart(key)))
  const online = hosts.filter(({ key }) => alive.has(lastPart(key)))
  const phaseOf = new Map(phases.map(({ value }) => [value.uid, value.phase]))
  const states = tally(vms.map(({ value }) => (alive.has(value.host) ? value.state : 'lost')))
  const wanted = envs.reduce((sum, { value }) => sum + (value.removing === undefined && phaseOf.get(value.uid) !== 'failed' ? countVms(value.spec) : 0), 0)
  states.set('pending', Math.max(0, wanted - vms.length))
  const own = vms.filter(({ value }) => value.host === place.name)
  return [
    single('tt_hosts', 'gauge', 'Hosts on record', hosts.length),
    single('tt_hosts_online', 'gauge', 'Hosts that live', online.length),
    byLabel({ name: 'tt_envs', type: 'gauge', help: 'ENVs by phase' }, 'phase', withAll(['creating', 'ready', 'failed', 'removing'], tally(envs.map(({ value }) => (value.removing === undefined ? (phaseOf.get(value.uid) ?? 'creating') : 'removing'))))),
    byLabel({ name: 'tt_vms', type: 'gauge', help: 'VMs by state' }, 'state', withAll(['pending', 'starting', 'booting', 'ready', 'stopped', 'failed', 'lost', 'removing'], states)),
    ...ofResources(ledger, online.map(({ value }) => value.total)),
    single('tt_public_ports_used', 'gauge', 'Public ports given to VMs of this host', own.reduce((sum, { value }) => sum + Object.keys(value.ports).length, 0)),
    single('tt_public_ports_offered', 'gauge', 'Public ports this host may give', place.portTo - place.portFrom + 1),
  ]
}

/** Asked for by all ENVs together, and offered by the hosts that live. */
function ofResources(used: Demand | undefined, totals: readonly Demand[]): Meter[] {
  const resources = [
    { field: 'cpu', name: 'tt_cpus', what: 'Cpus', unit: '', scale: 1 },
    { field: 'memMb', name: 'tt_memory', what: 'Memory', unit: '_bytes', scale: 2 ** 20 },
    { field: 'diskMb', name: 'tt_disk', what: 'Disk', unit: '_bytes', scale: 2 ** 20 },
    { field: 'vms', name: 'tt_vm_places', what: 'Places for VMs', unit: '', scale: 1 },
  ] as const
  return resources.flatMap(({ field, name, what, unit, scale }) => [
    single(`${name}_used${unit}`, 'gauge', `${what} asked for by all ENVs together`, (used?.[field] ?? 0) * scale),
    single(`${name}_offered${unit}`, 'gauge', `${what} offered by the hosts that live`, totals.reduce((sum, total) => sum + total[field], 0) * scale),
  ])
}

function ofWork({ commits, effects, log }: Metered): Meter[] {
  const loops = new Map<string, LoopState>()
  for (const { name, state } of inspected('loop')) {
    const [one, before] = [state as LoopState, loops.get(name)]
    loops.set(name, before ? { ...one, turns: one.turns + before.turns, faults: one.faults + before.faults, busy: one.busy + before.busy } : one)
  }
  const ofLoops = (field: 'turns' | 'faults' | 'busy') => [...loops].map(([name, state]) => [name, state[field]] as const)
  return [
    byLabel({ name: 'tt_store_commits_total', type: 'counter', help: 'Commits asked of the store, by what became of them' }, 'result', [['done', commits.done], ['refused', commits.refused], ['failed', commits.failed]]),
    single('tt_store_commit_seconds_total', 'counter', 'Time all commits took', commits.seconds),
    byLabel({ name: 'tt_loop_turns_total', type: 'counter', help: 'Times a loop worked on a key' }, 'loop', ofLoops('turns')),
    byLabel({ name: 'tt_loop_faults_total', type: 'counter', help: 'Times that failed and was tried again' }, 'loop', ofLoops('faults')),
    byLabel({ name: 'tt_loop_keys', type: 'gauge', help: 'Keys a loop works on, or is to look at again' }, 'loop', ofLoops('busy')),
    single('tt_effects_total', 'counter', 'Changes of the machine that were begun: processes, network, disks', effects.count),
    byLabel({ name: 'tt_log_lines_total', type: 'counter', help: 'Lines written to the log, by level' }, 'level', Object.entries(log.counts)),
  ]
}

function tally(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}

/** With those there are none of: a line that comes and goes cannot be watched. */
const withAll = (names: readonly string[], counts: ReadonlyMap<string, number>) => [...new Map([...names.map((name) => [name, 0] as const), ...counts])]
