import type { Problem } from '../model/errors.ts'
import { countVms, expandOne } from '../model/expand.ts'
import { parseVmId, vmName } from '../model/names.ts'
import { type EnvRecord, keys } from '../model/records.ts'
import type { Truth } from './truth.ts'

/** Whether all of an ENV is as it is wanted now: every wanted VM and no other is on a host, every host has made its share so, and none is on its way. */
export function isSettled(truth: Truth, env: EnvRecord): boolean {
  const { claimed, recorded, hosts, moving } = truth.tally.of(env.uid)
  if (moving > 0 || claimed !== countVms(env.spec)) return false
  // What a host said before it claimed another VM does not speak of that one: its record does, and one of a halted ENV needs none.
  if (!env.spec.stopped && recorded !== claimed) return false
  const revision = truth.envs.entry(keys.env(env.name))?.revision ?? Infinity
  return [...hosts.keys()].every((host) => {
    const said = truth.applieds.entry(keys.applied(env.uid, host))
    // Each view follows by itself: what was counted must be no older than what the host said.
    return said !== undefined && said.value.revision >= revision && said.revision <= Math.min(truth.claims.revision, truth.vms.revision)
  })
}

/** The newest commit in which a host said something of this ENV. */
export const saidAt = (truth: Truth, { uid }: EnvRecord): number => Math.max(0, ...[...truth.tally.of(uid).hosts.keys()].map((host) => truth.applieds.entry(keys.applied(uid, host))?.revision ?? 0))

/** The problem of one of the VMs that could not be made, or not as wanted, since the task of this revision began; in words for its ENV's users. */
export function failureOf(truth: Truth, env: EnvRecord, since: number): Problem | undefined {
  const { failed, stuck } = truth.tally.of(env.uid)
  if (failed.size + stuck.size === 0) return undefined
  const revision = truth.envs.entry(keys.env(env.name))?.revision ?? Infinity
  for (const id of failed) if ((truth.vms.entry(keys.vm(id))?.revision ?? 0) > since && isWanted(env, id)) return problemOf(truth, env, id)
  for (const [id, tried] of stuck) if (tried >= revision && isWanted(env, id)) return problemOf(truth, env, id)
  return undefined
}

const isWanted = (env: EnvRecord, id: string): boolean => expandOne(env, parseVmId(id)?.index ?? -1) !== undefined

const problemOf = (truth: Truth, { name }: EnvRecord, id: string): Problem => ({
  ...(truth.vms.get(keys.vm(id))?.problem ?? { code: 'failed', message: 'it could not be made' }),
  subject: `vm/${vmName(name, parseVmId(id)?.index ?? 0)}`,
})

/** How far an ENV is on its way to what is wanted of it now, as far as the task of this revision is concerned. */
export function progressOf(truth: Truth, env: EnvRecord, since: number): { done: number; problem?: Problem } {
  const { claimed, ready, moving } = truth.tally.of(env.uid)
  const problem = failureOf(truth, env, since)
  const vms = countVms(env.spec)
  if (env.removing !== undefined) return { done: Math.max(0, vms - claimed) }
  const done = env.spec.stopped ? Math.max(0, claimed - ready - moving) : ready
  return { done: Math.min(done, vms), ...(problem ? { problem } : {}) }
}
