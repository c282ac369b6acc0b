import type { EnvRecord } from '../model/records.ts'
import { keys } from '../model/records.ts'
import { type HostViews, isWanted } from './views.ts'

/** Whether guests of the two ENVs reach each other: both name the other; if they have one owner, it is enough that one does. */
export function arePeers(one: EnvRecord, other: EnvRecord): boolean {
  if (one.uid === other.uid) return false
  const names = (from: EnvRecord, to: EnvRecord) => from.spec.peers?.includes(to.name) ?? false
  return one.owner === other.owner ? names(one, other) || names(other, one) : names(one, other) && names(other, one)
}

/** Who is whose peer, kept up with what is wanted. */
export interface Peers extends Disposable {
  /** The ENVs whose guests those of this one reach; none for an ENV that is to go. */
  of(env: EnvRecord): EnvRecord[]
  /** Calls back with the uid of an ENV that has other peers than before; returns how to stop. */
  onChange(listener: (envUid: string) => void): () => void
}

export function envPeers({ envs, phases }: Pick<HostViews, 'envs' | 'phases'>): Peers {
  /** By name: the ENVs that name it, be there one of that name or not. */
  const naming = new Map<string, Set<string>>()
  /** Peers as last told, by uid: their uids in one order. */
  const known = new Map<string, string>()
  const listeners = new Set<(envUid: string) => void>()

  const of = (env: EnvRecord): EnvRecord[] => {
    const names = new Set([...(env.spec.peers ?? []), ...(naming.get(env.name) ?? [])])
    if (names.size === 0 || !isWanted(phases, env)) return []
    return [...names].flatMap((name) => envs.get(keys.env(name)) ?? []).filter((other) => arePeers(env, other) && isWanted(phases, other))
  }
  const note = (env: EnvRecord | undefined) => {
    if (!env) return
    const now = of(env).map(({ uid }) => uid).sort().join()
    if (now === (known.get(env.uid) ?? '')) return
    if (now === '') known.delete(env.uid)
    else known.set(env.uid, now)
    listeners.forEach((listener) => listener(env.uid))
  }
  const look = (name: string, before?: EnvRecord) => {
    const now = envs.get(keys.env(name))
    const near = new Set([...(before?.spec.peers ?? []), ...(now?.spec.peers ?? []), ...(naming.get(name) ?? [])])
    if (before && before.uid !== now?.uid) known.delete(before.uid)
    note(now)
    for (const other of near) note(envs.get(keys.env(other)))
  }
  const rename = (env: EnvRecord | undefined, change: (names: Set<string>, name: string) => unknown) => {
    for (const named of env?.spec.peers ?? []) {
      const names = naming.get(named) ?? new Set()
      change(names, env?.name ?? '')
      if (names.size > 0) naming.set(named, names)
      else naming.delete(named)
    }
  }
  const stops = [
    envs.onChange(({ value }, before) => {
      rename(before, (names, name) => names.delete(name))
      rename(value, (names, name) => names.add(name))
      look((value ?? before)?.name ?? '', before)
    }),
    phases.onChange(({ key }) => look(key.slice(keys.phases.length))),
  ]
  for (const { value } of envs.entries()) rename(value, (names, name) => names.add(name))
  for (const { value } of envs.entries()) note(value)
  return {
    of,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    [Symbol.dispose]: () => stops.forEach((stop) => stop()),
  }
}
