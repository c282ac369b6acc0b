import type { EnvStatus } from '../model/env.ts'
import { countVms } from '../model/expand.ts'
import type { Resource } from '../model/kinds.ts'
import { vmName } from '../model/names.ts'
import { type AppliedRecord, type ClaimingRecord, type ClaimRecord, type EnvRecord, type HostRecord, keys, type LedgerRecord, type PhaseRecord, type PresenceRecord, type TaskRecord, type TokenRecord, type UnwantedRecord, type UserRecord, type VmRecord } from '../model/records.ts'
import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import { follow } from '../store/follow.ts'
import type { Store } from '../store/store.ts'
import { type View, type ViewEntry, view } from '../store/view.ts'
import { type OpenTasks, openTasks } from './open-tasks.ts'
import { type Tally, tally } from './tally.ts'
import { type Usages, usages } from './usage.ts'

/** A list of problems names so many and counts the rest. */
export const shownProblems = 20

/** Everything in the store, seen from memory: what a Cloud answers from and its loops decide by. */
export interface Truth extends AsyncDisposable {
  envs: View<EnvRecord>
  phases: View<PhaseRecord>
  ledger: View<LedgerRecord>
  claims: View<ClaimRecord>
  vms: View<VmRecord>
  hosts: View<HostRecord>
  presences: View<PresenceRecord>
  users: View<UserRecord>
  tokens: View<TokenRecord>
  tasks: View<TaskRecord>
  applieds: View<AppliedRecord>
  unwanted: View<UnwantedRecord>
  claimings: View<ClaimingRecord>
  tally: Tally
  openTasks: OpenTasks
  usages: Usages
  /** The ENV with this uid, also while it is being removed. */
  envOf(uid: string): EnvRecord | undefined
  /** Keys of records nobody can read, and why. */
  leftOut: ReadonlyMap<string, string>
  /** Resolves once every view has seen the commit. */
  reached(revision: number, signal?: AbortSignal): Promise<void>
}

export async function truth(store: Store, { world, log }: { world: World; log: Log }): Promise<Truth> {
  const stack = new AsyncDisposableStack()
  const open = async <T>(prefix: string) => stack.use(await view<T>(store, prefix, { world, onFault: (fault) => log.warn('a view does not follow', { prefix, fault: String(fault) }) }))
  const envs = await open<EnvRecord>(keys.envs)
  const phases = await open<PhaseRecord>(keys.phases)
  const ledger = await open<LedgerRecord>(keys.ledger)
  const claims = await open<ClaimRecord>(keys.claims)
  const vms = await open<VmRecord>(keys.vms)
  const hosts = await open<HostRecord>(keys.hosts)
  const presences = await open<PresenceRecord>(keys.presences)
  const users = await open<UserRecord>(keys.users)
  const tokens = await open<TokenRecord>(keys.tokens)
  const tasks = await open<TaskRecord>(keys.tasks)
  const applieds = await open<AppliedRecord>(keys.applieds)
  const unwanted = await open<UnwantedRecord>(keys.unwanteds)
  const claimings = await open<ClaimingRecord>(keys.claimings)
  const all = [envs, phases, ledger, claims, vms, hosts, presences, users, tokens, tasks, applieds, unwanted, claimings]
  const byUid = new Map<string, EnvRecord>()
  stack.defer(
    follow(envs, (_key, now, before) => {
      if (before && before.uid !== now?.uid) byUid.delete(before.uid)
      if (now) byUid.set(now.uid, now)
    }),
  )
  return {
    envs,
    phases,
    ledger,
    claims,
    vms,
    hosts,
    presences,
    users,
    tokens,
    tasks,
    applieds,
    unwanted,
    claimings,
    tally: stack.use(tally(claims, vms)),
    openTasks: stack.use(openTasks(tasks)),
    usages: stack.use(usages(envs, phases)),
    envOf: (uid) => byUid.get(uid),
    leftOut: store.leftOut?.why ?? new Map(),
    reached: async (revision, signal) => {
      await Promise.all(all.map((one) => one.reached(revision, { signal })))
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** The ENV as its users see it. */
export function envResource(truth: Truth, { value: record, revision }: ViewEntry<EnvRecord>): Resource<'env'> {
  return {
    kind: 'env',
    name: record.name,
    uid: record.uid,
    revision: String(revision),
    owner: record.owner,
    created: record.created,
    ...(record.removing === undefined ? {} : { removing: record.removing }),
    spec: record.spec,
    status: envStatus(truth, record),
  }
}

function envStatus(truth: Truth, record: EnvRecord): EnvStatus {
  const phase = phaseOf(truth, record)
  const { lifetimeSeconds } = record.spec
  const tally = truth.tally.of(record.uid)
  const problems = phase?.problems ?? problemsNow(truth, record)
  return {
    phase: record.removing === undefined ? (phase?.phase ?? 'creating') : 'removing',
    vms: countVms(record.spec),
    ready: tally.ready,
    ...(tally.lost === 0 ? {} : { lost: tally.lost }),
    since: record.removing ?? phase?.since ?? record.created,
    ...(record.task === undefined ? {} : { task: record.task }),
    ...(lifetimeSeconds === null ? {} : { expires: expiryOf(record) }),
    ...(problems.length === 0 ? {} : { problems: problems.slice(0, shownProblems) }),
    ...(phase?.more === undefined && problems.length <= shownProblems ? {} : { more: phase?.more ?? problems.length - shownProblems }),
  }
}

/** Of an ENV that is ready: VMs that were added to it and could not be made. */
function problemsNow(truth: Truth, { name, uid }: EnvRecord): NonNullable<EnvStatus['problems']> {
  const { failed } = truth.tally.of(uid)
  if (failed.size === 0) return []
  return [...failed].flatMap((id) => {
    const vm = truth.vms.get(keys.vm(id))
    return vm?.problem ? [{ vm: vmName(name, vm.index), problem: { ...vm.problem, subject: `vm/${vmName(name, vm.index)}` } }] : []
  })
}

/** The ENV's phase record, unless it is one an earlier ENV of the same name left. */
export function phaseOf(truth: Truth, record: EnvRecord): PhaseRecord | undefined {
  const phase = truth.phases.get(keys.phase(record.name))
  return phase?.uid === record.uid ? phase : undefined
}

/** When the ENV ends, as an ISO string; undefined if it never does. */
export function expiryOf(record: EnvRecord): string | undefined {
  if (record.spec.lifetimeSeconds === null) return undefined
  return new Date(Date.parse(record.created) + record.spec.lifetimeSeconds * 1000).toISOString()
}

/** The ENV uid of a `claim/vm/…` or `actual/vm/…` key. Asked for each change of each VM, so nothing is parsed. */
export const envUidOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1, key.lastIndexOf('.'))
