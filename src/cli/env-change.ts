import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import type { EnvAsked, EnvSpec } from '../model/env.ts'
import { asTtError } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'

/** A change of an ENV's spec: what comes out may be asked for. It refuses what the ENV cannot give, such as an index it does not have. */
export type Edit = (spec: EnvSpec, env: Resource<'env'>) => EnvSpec

export interface Changed {
  before: Resource<'env'>
  after: Resource<'env'>
}

const mostTries = 5

/**
 * The ENV with a change of its spec, by one put. What was read is what is changed: if somebody else changed it in between, it is read, and
 * the change made, again. A change that gives undefined is none, and the ENV is returned as it is.
 */
export async function changedEnv(cloud: Cloud, name: string, options: { change(seen: Resource<'env'>): EnvAsked | undefined | Promise<EnvAsked | undefined>; task?: string; call: Call }): Promise<Changed> {
  const { change, task, call } = options
  for (let tries = 1; ; tries++) {
    const before = await cloud.collection('env').get(name, call)
    const spec = await change(before)
    if (spec === undefined) return { before, after: before }
    try {
      return { before, after: await cloud.collection('env').put(name, { spec, expect: before.revision, ...(task === undefined ? {} : { task }) }, call) }
    } catch (thrown) {
      if (asTtError(thrown).code !== 'conflict' || before.removing !== undefined || tries >= mostTries) throw thrown
    }
  }
}
