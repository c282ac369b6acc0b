import { type Demand, demandOf, minus, nothing, plus } from '../model/expand.ts'
import { type EnvRecord, keys, lastPart, type PhaseRecord } from '../model/records.ts'
import { follow } from '../store/follow.ts'
import type { View } from '../store/view.ts'

/** What the ENVs of one owner ask for together, and how many there are. */
export interface Usage {
  envs: number
  used: Demand
}

/** Kept up to date by changes, so that an owner of thousands of ENVs waits no longer for the next one than anybody else. */
export interface Usages extends Disposable {
  of(owner: string): Usage
}

export function usages(envs: View<EnvRecord>, phases: View<PhaseRecord>): Usages {
  const owners = new Map<string, Usage>()
  /** By name of the ENV, what of it is in the sum of its owner. */
  const counted = new Map<string, { owner: string; demand: Demand }>()
  const add = (owner: string, { envs: count, used }: Usage) => {
    const known = owners.get(owner) ?? none
    const now = { envs: known.envs + count, used: plus(known.used, used) }
    if (now.envs === 0) owners.delete(owner)
    else owners.set(owner, now)
  }
  const count = (name: string) => {
    const before = counted.get(name)
    if (before) add(before.owner, { envs: -1, used: minus(nothing, before.demand) })
    const env = envs.get(keys.env(name))
    if (!env) return void counted.delete(name)
    const phase = phases.get(keys.phase(name))
    // A failed ENV whose hosts hold nothing is an explanation only.
    const demand = phase?.uid === env.uid && phase.released ? nothing : demandOf(env.spec)
    counted.set(name, { owner: env.owner, demand })
    add(env.owner, { envs: 1, used: demand })
  }
  const stops = [
    follow(envs, (key) => count(lastPart(key))),
    phases.onChange(({ key, value }, before) => {
      if (value?.released !== before?.released || value?.uid !== before?.uid) count(lastPart(key))
    }),
  ]
  return {
    of: (owner) => owners.get(owner) ?? none,
    [Symbol.dispose]: () => stops.forEach((stop) => stop()),
  }
}

const none: Usage = { envs: 0, used: nothing }
