import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import type { EnvRoot } from '../model/expand.ts'
import { expandOne } from '../model/expand.ts'
import { parseVmId } from '../model/names.ts'
import { type AppliedRecord, type ClaimRecord, type EnvRecord, type GrowthRecord, type HostRecord, keys, type PhaseRecord, type UnwantedRecord, type VmRecord } from '../model/records.ts'
import type { VmSpec } from '../model/vm.ts'
import { follow } from '../store/follow.ts'
import type { Store } from '../store/store.ts'
import { type View, view } from '../store/view.ts'

/** What a host must know: what is wanted, who claimed what, and what it reported itself. */
export interface HostViews extends AsyncDisposable {
  envs: View<EnvRecord>
  phases: View<PhaseRecord>
  claims: View<ClaimRecord>
  vms: View<VmRecord>
  hosts: View<HostRecord>
  applieds: View<AppliedRecord>
  unwanted: View<UnwantedRecord>
  growths: View<GrowthRecord>
  /** The ENV with this uid, also while it is being removed. */
  envOf(uid: string): EnvRecord | undefined
  /** The VM as it is wanted now; undefined if it is to be gone. */
  wish(id: string): VmSpec | undefined
  /** Keys of records nobody can read, and why: whatever hangs on them is left as it is. */
  leftOut: ReadonlyMap<string, string>
  reached(revision: number): Promise<void>
}

export async function hostViews(store: Store, { world, log }: { world: World; log: Log }): Promise<HostViews> {
  const stack = new AsyncDisposableStack()
  const open = async <T>(prefix: string) => stack.use(await view<T>(store, prefix, { world, onFault: (fault) => log.warn('a view does not follow', { prefix, fault: String(fault) }) }))
  const envs = await open<EnvRecord>(keys.envs)
  const phases = await open<PhaseRecord>(keys.phases)
  const claims = await open<ClaimRecord>(keys.claims)
  const vms = await open<VmRecord>(keys.vms)
  const hosts = await open<HostRecord>(keys.hosts)
  const applieds = await open<AppliedRecord>(keys.applieds)
  const unwanted = await open<UnwantedRecord>(keys.unwanteds)
  const growths = await open<GrowthRecord>(keys.growths)
  const byUid = new Map<string, EnvRecord>()
  stack.defer(
    follow(envs, (_key, now, before) => {
      if (before && before.uid !== now?.uid) byUid.delete(before.uid)
      if (now) byUid.set(now.uid, now)
    }),
  )
  const envOf = (uid: string) => byUid.get(uid)
  return {
    envs,
    phases,
    claims,
    vms,
    hosts,
    applieds,
    unwanted,
    growths,
    envOf,
    wish(id) {
      const parts = parseVmId(id)
      const env = parts && envOf(parts.envUid)
      return env && isWanted(phases, env) ? expandOne(env, parts.index) : undefined
    },
    leftOut: store.leftOut?.why ?? new Map(),
    reached: async (revision) => {
      await Promise.all([envs, phases, claims, vms, applieds].map((one) => one.reached(revision)))
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Whether the ENV's VMs are to be: it is not being removed, has not failed and does not wait for its turn. */
export function isWanted(phases: View<PhaseRecord>, env: EnvRecord & EnvRoot): boolean {
  const phase = phases.get(keys.phase(env.name))
  return env.removing === undefined && !(phase?.uid === env.uid && (phase.phase === 'failed' || phase.held === true))
}
