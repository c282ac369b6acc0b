import { asTtError, fail } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { matchesPrefix, shown } from '../../model/names.ts'
import type { Cloud } from '../../model/cloud.ts'
import type { Call } from '../../model/call.ts'
import { nearest } from '../../base/nearest.ts'
import { features } from './features.ts'
import { cleared, type Feature, Skip, type Stage } from './stage.ts'

/** What became of a feature. */
export interface Verdict {
  feature: string
  about: string
  result: 'pass' | 'fail' | 'skip'
  seconds: number
  /** Of what failed or was skipped. */
  reason?: string
  remedy?: string
}

export interface Telling {
  begin(feature: Feature): void
  end(verdict: Verdict): Promise<void>
}

/** The features of these names, in their order; all of them for none. */
export function chosen(names: readonly string[]): readonly Feature[] {
  const known = new Set(features.map(({ name }) => name))
  for (const name of names) {
    const meant = nearest(name, known)
    if (!known.has(name)) fail('invalid', `there is no feature ${shown(name)}`, { remedy: meant === undefined ? `there are ${[...known].join(', ')}` : `did you mean ${meant}?` })
  }
  return names.length === 0 ? features : features.filter(({ name }) => names.includes(name))
}

/** The image to try with: of those whose name begins so, one whose guests take commands, built already if there is one, and the smallest. */
export async function imageFor(cloud: Cloud, prefix: string | undefined, call: Call): Promise<Resource<'image'>> {
  const { items } = await cloud.collection('image').list({}, call)
  const fits = items.filter(({ name }) => prefix === undefined || matchesPrefix(name, prefix))
  const rank = ({ spec }: Resource<'image'>) => (spec.ways.length === 0 ? 2 : 0) + (spec.buildable ? 1 : 0)
  const [best] = fits.sort((one, two) => rank(one) - rank(two) || one.spec.memMb - two.spec.memMb)
  return best ?? fail('not_found', prefix === undefined ? 'the servers have no image to make a VM from' : `no image begins with ${shown(prefix)}`, { remedy: 'see `tt image list`' })
}

/** Sees every feature in turn, tells of each, and takes away what was made for it, also when it is interrupted. */
export async function selfTest(stage: Stage, wanted: readonly Feature[], { telling, keep }: { telling: Telling; keep: boolean }): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  const told = async (verdict: Verdict) => {
    verdicts.push(verdict)
    await telling.end(verdict)
  }
  try {
    prepare(stage, wanted)
    for (const feature of wanted) {
      if (stage.call.signal?.aborted) break
      telling.begin(feature)
      await told(await seen(stage, feature, verdicts))
    }
  } finally {
    if (!keep) await clear(stage, told, telling)
  }
  return verdicts
}

/** Begins to make what will be needed, all at once. Who needs it hears what became of it. */
function prepare(stage: Stage, wanted: readonly Feature[]): void {
  const needs = (...names: string[]) => wanted.some(({ name }) => names.includes(name))
  const ignore = () => undefined
  if (wanted.some(({ name }) => name !== 'api' && name !== 'images')) stage.main().catch(ignore)
  if (needs('isolation', 'peers', 'deny-outgoing', 'deny-list')) stage.other().catch(ignore)
  if (needs('deny-outgoing')) stage.denied().catch(ignore)
}

async function seen(stage: Stage, feature: Feature, before: readonly Verdict[]): Promise<Verdict> {
  const { world } = stage.terminal
  const began = world.ticks()
  const verdict = (result: Verdict['result'], why: Pick<Verdict, 'reason' | 'remedy'> = {}): Verdict => ({ feature: feature.name, about: feature.about, result, seconds: (world.ticks() - began) / 1000, ...why })
  const unmade = feature.name === 'create' ? undefined : before.find((one) => one.feature === 'create' && one.result === 'fail')
  if (unmade) return verdict('skip', { reason: 'no VM could be made' })
  try {
    await feature.run(stage)
    return verdict('pass')
  } catch (thrown) {
    if (thrown instanceof Skip) return verdict('skip', { reason: thrown.message })
    if (stage.call.signal?.aborted) return verdict('skip', { reason: 'interrupted' })
    const { code, message, remedy } = asTtError(thrown)
    return verdict('fail', { reason: `${message} (${code})`, ...(remedy === undefined ? {} : { remedy }) })
  }
}

async function clear(stage: Stage, told: (verdict: Verdict) => Promise<void>, telling: Telling): Promise<void> {
  const { world } = stage.terminal
  const began = world.ticks()
  const about = 'what the test made is taken away'
  const step: Feature = { name: 'clean-up', about, run: async () => undefined }
  telling.begin(step)
  const left = await cleared(stage)
  const seconds = (world.ticks() - began) / 1000
  await told({ feature: step.name, about, seconds, ...(left.length === 0 ? { result: 'pass' } : { result: 'fail', reason: `${left.join(', ')} could not be taken away`, remedy: 'delete them by hand; ENVs end by themselves within half an hour' }) })
}
