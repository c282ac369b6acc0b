import type { World } from '../base/world.ts'
import type { Change, Cloud } from '../model/cloud.ts'
import { asTtError, fail, type TtError } from '../model/errors.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import type { Invocation } from './invocation.ts'
import type { Progress } from './progress.ts'
import { counted } from './text.ts'

/** A server may be started again while a client waits: it is asked anew for this long before its silence is an error. */
const patienceMs = 60_000
const firstPauseMs = 200
const longestPauseMs = 2000

/**
 * A watch that is begun again when it breaks. `began` stands before the state of each beginning, so a reader knows from when on a name that
 * does not come is gone.
 */
export async function* steadyWatch<K extends Kind>(
  cloud: Cloud,
  kind: K,
  options: { under?: string; world: World; signal: AbortSignal; onLost: (problem: TtError) => void },
): AsyncGenerator<Change<K> | { type: 'began' }> {
  const { under, world, signal, onLost } = options
  let heard = world.ticks()
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      yield { type: 'began' }
      for await (const change of cloud.collection(kind).watch({ under }, { signal })) {
        heard = world.ticks()
        pauseMs = firstPauseMs
        yield change
      }
      if (signal.aborted) fail('cancelled', 'interrupted')
    } catch (thrown) {
      const error = asTtError(thrown)
      if ((error.code !== 'unavailable' && error.code !== 'timeout') || world.ticks() - heard > patienceMs) throw error
      onLost(error)
    }
    await world.sleep(pauseMs, signal)
  }
}

interface Waiting {
  terminal: Invocation['terminal']
  cloud: Cloud
  progress: Progress
}

/** Waits until the ENV that was just made is ready or has failed, telling how far it is. */
export async function settled(env: Resource<'env'>, { terminal, cloud, progress }: Waiting): Promise<Resource<'env'>> {
  const { name, uid } = env
  let there = true
  const look = (latest: Resource<'env'>) => progress.show(`${name}: ${latest.status?.ready ?? 0} of ${counted(latest.status?.vms ?? 0, 'VM')} ready`)
  const deleted = () => fail('not_found', `ENV ${name} was deleted before it was ready`, { subject: `env/${name}` })
  for await (const change of steadyWatch(cloud, 'env', { ...waitingOf(terminal), onLost: () => progress.show(`${name}: the server does not answer, asking again`) })) {
    if (change.type === 'began') there = false
    if (change.type === 'synced' && !there) deleted()
    if (change.type === 'gone' && change.name === name) deleted()
    if (change.type !== 'is' || change.resource.name !== name) continue
    const { resource } = change
    if (resource.uid !== uid || resource.removing !== undefined) deleted()
    there = true
    if (resource.status?.phase === 'ready' || resource.status?.phase === 'failed') return resource
    look(resource)
  }
  return env
}

/** Waits until none of these ENVs is there any more, telling of each. A name that has been given to a new ENV counts as gone. */
export async function gone(names: readonly string[], { terminal, cloud, progress }: Waiting): Promise<void> {
  const left = new Set(names)
  let seen = new Set<string>()
  const show = () => progress.show(left.size === 1 ? `${[...left][0]}: being deleted` : `${counted(left.size, 'ENV')} being deleted`)
  show()
  for await (const change of steadyWatch(cloud, 'env', { ...waitingOf(terminal), onLost: () => progress.show('the server does not answer, asking again') })) {
    if (change.type === 'began') seen = new Set()
    if (change.type === 'is' && change.resource.removing !== undefined) seen.add(change.resource.name)
    else if (change.type === 'is') left.delete(change.resource.name)
    if (change.type === 'gone') left.delete(change.name)
    if (change.type === 'synced') for (const name of left) if (!seen.has(name)) left.delete(name)
    if (left.size === 0) return
    show()
  }
}

const waitingOf = ({ world, signal }: Invocation['terminal']) => ({ world, signal })
