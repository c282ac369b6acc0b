import { type EnvAsked, EnvSpec } from '../../model/env.ts'
import { check } from '../../model/check.ts'
import { fail } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { shown } from '../../model/names.ts'
import { duration } from '../../model/units.ts'
import { lifetimeOf } from '../env-asked.ts'
import { changedEnv } from '../env-change.ts'
import type { Action } from '../invocation.ts'
import { until } from '../moments.ts'
import { eachOf, envNames, tellOutcomes } from '../several.ts'

/** `tt env update NAME…`. */
export const update: Action = {
  operands: [{ name: 'NAME', many: true, of: 'env' }],
  flags: [{ long: 'life-time', short: 'l', value: 'SECONDS', required: true, about: 'Its life, counted from its creation; +SECONDS counts from now; 90m, 12h, 7d, never are understood too' }],
  details: ['A time that is over already is refused: nothing dies of a slip. To end an ENV now, delete it.'],
  examples: [
    { line: 'tt env update demo -l +2h', about: 'two hours more from now' },
    { line: 'tt env update demo --life-time never', about: 'keep it until somebody deletes it' },
  ],
  async run(invocation) {
    const names = envNames(invocation)
    const text = invocation.given.one('life-time') ?? ''
    const fromNow = text.startsWith('+')
    const asked = lifetimeOf(fromNow ? text.slice(1) : text)
    if (fromNow && asked === null) fail('invalid', `--life-time is ${shown(text)}, which is neither a time nor never`)
    const cloud = await invocation.cloud()
    const { world } = invocation.terminal
    const outcomes = await eachOf(invocation, names, async (name) => {
      const env = await changedEnv(cloud, name, {
        call: invocation.call,
        change: (seen) => ({ ...seen.spec, lifetimeSeconds: checkedLife(seen, { asked, fromNow, nowMs: world.now() }) }) as EnvAsked,
      })
      return `ends ${until(env.status?.expires, world.now())}`
    })
    await tellOutcomes(invocation, outcomes)
  },
}

/** The new life in seconds from creation; refuses one that is over already. */
function checkedLife({ name, created, spec }: Resource<'env'>, { asked, fromNow, nowMs }: { asked: number | null; fromNow: boolean; nowMs: number }): number | null {
  if (asked === null) return null
  const age = (nowMs - Date.parse(created)) / 1000
  const seconds = fromNow ? Math.ceil(age + asked) : asked
  if (seconds <= age) {
    fail('invalid', `ENV ${name} is ${duration(age)} old: a life of ${duration(seconds)} is over already`, {
      subject: `env/${name}`,
      remedy: `count from now by -l +SECONDS, or delete it: \`tt env del ${name}\``,
    })
  }
  const { wrong } = check(EnvSpec, { ...spec, lifetimeSeconds: seconds })
  return wrong === undefined ? seconds : fail('invalid', wrong.replace('lifetimeSeconds', '--life-time'), { subject: `env/${name}` })
}
