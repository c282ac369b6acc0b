import { deadline, type World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import { asTtError } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'
import { checkAborted } from './aborted.ts'

/**
 * The ENV once nothing is under way with it any more: its phase is neither creating nor removing. Undefined once it is gone or
 * another has its name; after `seconds` as it is then.
 */
export async function settledEnv(cloud: Cloud, name: string, options: { seconds: number; uid?: string; world: World; call: Call }): Promise<Resource<'env'> | undefined> {
  const { call } = options
  let latest = await present(cloud, name, call)
  const uid = options.uid ?? latest?.uid
  const isOver = () => latest === undefined || latest.uid !== uid || isSettled(latest)
  if (isOver() || options.seconds === 0) return latest?.uid === uid ? latest : undefined
  using limit = deadline(options.world, options.seconds * 1000, call.signal)
  let seen = false
  for await (const change of cloud.collection('env').watch({ all: true }, { signal: limit.signal })) {
    if (change.type === 'is' && change.resource.name === name) {
      latest = change.resource
      seen = true
    } else if ((change.type === 'gone' && change.name === name) || (change.type === 'synced' && !seen)) latest = undefined
    if (isOver()) break
  }
  checkAborted(call.signal)
  return latest?.uid === uid ? latest : undefined
}

/** The ENV as it is now, or undefined if there is none of that name. */
export async function present(cloud: Cloud, name: string, call: Call): Promise<Resource<'env'> | undefined> {
  try {
    return await cloud.collection('env').get(name, call)
  } catch (thrown) {
    if (asTtError(thrown).code === 'not_found') return undefined
    throw thrown
  }
}

const isSettled = ({ status }: Resource<'env'>) => status !== undefined && status.phase !== 'creating' && status.phase !== 'removing'
