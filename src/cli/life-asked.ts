import type { Flag, Given } from '../base/arguments.ts'
import { check } from '../model/check.ts'
import { EnvSpec } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'
import { shown } from '../model/names.ts'
import { duration } from '../model/units.ts'
import { secondsOf } from './flag-values.ts'

/** The flag that lifts the limit of life times. */
export const longLifeFlag: Flag = { long: 'long-life', also: ['SSSS'], about: 'Lift the limit of life times, for those who may; --SSSS means the same' }

/** How `update` says when an ENV ends. */
export const lifeFlags: readonly Flag[] = [
  { long: 'life-time', short: 'l', value: 'SECONDS', about: 'Its life, counted from its creation; +SECONDS counts from now; 90m, 12h, 7d are understood too, 0 or never means that it does not end' },
  { long: 'until', value: 'TIME', about: 'When it ends: 18:30, the next time it is that late here, or 2026-01-31T18:30' },
  { long: 'extend', value: 'SECONDS', about: 'So much later than it would end; if it has ended, from now' },
  longLifeFlag,
]

/** Seconds, or with a unit; null for no end. */
export function lifetimeOf(text: string): number | null {
  if (text === 'never' || text === '0') return null
  return secondsOf(text) ?? fail('invalid', `--life-time is ${shown(text)}, allowed is a number of seconds, such as 3600, or 90m, 12h, 7d, never`)
}

/** A new life for an ENV, in seconds from its creation or null for none; undefined if the flags say nothing about it. */
export type LifeChange = (env: Resource<'env'>, nowMs: number) => number | null

/** What the flags say of the end, checked before anybody is asked. */
export function lifeChange(given: Given, nowMs: number): LifeChange | undefined {
  const ways = ['life-time', 'until', 'extend'].filter((flag) => given.has(flag))
  if (ways.length > 1) fail('invalid', `either ${ways.map((flag) => `--${flag}`).join(' or ')}`)
  const change = given.has('until') ? untilChange(momentOf(given.one('until') ?? '', nowMs)) : given.has('extend') ? extension(given.one('extend') ?? '') : given.has('life-time') ? lifetimeChange(given.one('life-time') ?? '') : undefined
  return change && ((env, now) => checked(env, change(env, now), now))
}

function lifetimeChange(text: string): LifeChange {
  const fromNow = text.startsWith('+')
  const asked = lifetimeOf(fromNow ? text.slice(1) : text)
  if (fromNow && asked === null) fail('invalid', `--life-time is ${shown(text)}, which is neither a time nor never`)
  return (env, nowMs) => (asked === null || !fromNow ? asked : Math.ceil(ageOf(env, nowMs) + asked))
}

function untilChange(endMs: number): LifeChange {
  return ({ created }) => Math.ceil((endMs - Date.parse(created)) / 1000)
}

function extension(text: string): LifeChange {
  const seconds = secondsOf(text.replace(/^\+/, '')) ?? fail('invalid', `--extend is ${shown(text)}, allowed is a number of seconds, such as 3600, or 90m, 12h, 7d`)
  return (env, nowMs) => {
    const now = env.spec.lifetimeSeconds
    if (now === null) return fail('invalid', `ENV ${env.name} has no end that could be later`, { subject: `env/${env.name}`, remedy: 'give it one by --life-time or --until' })
    return Math.max(now, Math.ceil(ageOf(env, nowMs))) + seconds
  }
}

/** `18:30`, or a date with a time; without a zone in that of this machine. */
function momentOf(text: string, nowMs: number): number {
  const [, hours, minutes] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text) ?? []
  if (hours !== undefined) {
    const at = new Date(nowMs)
    at.setHours(Number(hours), Number(minutes), 0, 0)
    if (at.getTime() <= nowMs) at.setDate(at.getDate() + 1)
    return at.getTime()
  }
  const moment = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?$/.test(text) ? Date.parse(text.replace(' ', 'T')) : Number.NaN
  if (Number.isNaN(moment)) fail('invalid', `--until is ${shown(text)}, allowed is a time, such as 18:30 or 2026-01-31T18:30`)
  if (moment <= nowMs) fail('invalid', `--until is ${shown(text)}, which is over already`)
  return moment
}

const ageOf = ({ created }: Resource<'env'>, nowMs: number) => (nowMs - Date.parse(created)) / 1000

/** A life that is over already is refused: nothing dies of a slip. */
function checked(env: Resource<'env'>, seconds: number | null, nowMs: number): number | null {
  if (seconds === null) return null
  const { name, spec } = env
  const age = ageOf(env, nowMs)
  if (seconds <= age) {
    fail('invalid', `ENV ${name} is ${duration(age)} old: a life of ${duration(seconds)} is over already`, {
      subject: `env/${name}`,
      remedy: `count from now by -l +SECONDS, or delete it: \`tt env del ${name}\``,
    })
  }
  const { wrong } = check(EnvSpec, { ...spec, lifetimeSeconds: seconds })
  return wrong === undefined ? seconds : fail('invalid', wrong.replace('lifetimeSeconds', '--life-time'), { subject: `env/${name}` })
}
