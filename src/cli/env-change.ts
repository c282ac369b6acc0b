import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import type { EnvAsked } from '../model/env.ts'
import { asTtError } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'

const mostTries = 5

/**
 * The ENV with a change of its spec. What was read is what is changed: if somebody else changed it in between, it is read again. A
 * change that gives undefined is none, and the ENV is returned as it is.
 */
export async function changedEnv(cloud: Cloud, name: string, { change, call }: { change: (seen: Resource<'env'>) => EnvAsked | undefined; call: Call }): Promise<Resource<'env'>> {
  for (let tries = 1; ; tries++) {
    const seen = await cloud.collection('env').get(name, call)
    const spec = change(seen)
    if (spec === undefined) return seen
    try {
      return await cloud.collection('env').put(name, { spec, expect: seen.revision }, call)
    } catch (thrown) {
      if (asTtError(thrown).code !== 'conflict' || seen.removing !== undefined || tries >= mostTries) throw thrown
    }
  }
}
