import type { Problem } from '../model/errors.ts'
import { countVms, expandOne } from '../model/expand.ts'
import { parseVmId, vmName } from '../model/names.ts'
import { type EnvRecord, keys } from '../model/records.ts'
import type { Truth } from './truth.ts'

/** Whether all of an ENV is as it is wanted now: every wanted VM and no other is on a host, every host has made its share so, and none is on its way. */
export function isSettled(truth: Truth, env: EnvRecord): boolean {
  const { claimed, hosts, moving } = truth.tally.of(env.uid)
  if (moving > 0 || claimed !== countVms(env.spec)) return false
  const revision = truth.envs.entry(keys.env(env.name))?.revision ?? Infinity
  return [...hosts.keys()].every((host) => (truth.applieds.get(keys.applied(env.uid, host))?.revision ?? 0) >= revision)
}

/** The problem of one of the VMs that could not be made, or not as wanted, in words for its ENV's users. */
export function failureOf(truth: Truth, env: EnvRecord): Problem | undefined {
  const { failed, stuck } = truth.tally.of(env.uid)
  for (const id of [...failed, ...stuck]) {
    const index = parseVmId(id)?.index
    if (index === undefined || !expandOne(env, index)) continue
    const subject = `vm/${vmName(env.name, index)}`
    return { ...(truth.vms.get(keys.vm(id))?.problem ?? { code: 'failed', message: 'it could not be made' }), subject }
  }
  return undefined
}

/** How far an ENV is on its way to what is wanted of it now. */
export function progressOf(truth: Truth, env: EnvRecord): { done: number; problem?: Problem } {
  const { claimed, ready, moving } = truth.tally.of(env.uid)
  const problem = failureOf(truth, env)
  const vms = countVms(env.spec)
  if (env.removing !== undefined) return { done: Math.max(0, vms - claimed) }
  const done = env.spec.stopped ? Math.max(0, claimed - ready - moving) : ready
  return { done: Math.min(done, vms), ...(problem ? { problem } : {}) }
}
