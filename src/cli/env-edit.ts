import type { Flag, Given } from '../base/arguments.ts'
import { check } from '../model/check.ts'
import { type EnvAsked, EnvSpec } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import type { Edit } from './env-change.ts'
import { kickEdit, kickFlags } from './kicks-asked.ts'
import { lifeChange, lifeFlags } from './life-asked.ts'
import { reachEdit, reachFlags } from './reach-asked.ts'
import { sizeEdit, sizeFlags } from './sizes-asked.ts'

/** Everything `env update` can change at once, by one put. */
export const editFlags: readonly Flag[] = [
  ...lifeFlags,
  { long: 'at-end', value: 'delete|stop', about: 'What happens at its end: it is deleted, or halted and kept' },
  { long: 'keep-disks', also: ['keep-image'], about: 'Disks of VMs that are taken away stay, as images of its owner' },
  { long: 'no-keep-disks', about: 'They go with their VMs' },
  ...sizeFlags,
  ...reachFlags,
  ...kickFlags,
]

/** The change that the flags describe, all its parts in one; undefined if they describe none. What can be checked without the ENV is checked here. */
export function editOf(given: Given, nowMs: () => number): Edit | undefined {
  const edits = [...kickEdit(given), lifeEdit(given, nowMs), endEdit(given), ...sizeEdit(given), ...reachEdit(given)].filter((edit) => edit !== undefined)
  if (edits.length === 0) return undefined
  return (spec, env) => edits.reduce((changed, edit) => edit(changed, env), spec)
}

/** What comes out of an edit, as far as it can be checked here. */
export function askedOf(spec: EnvSpec, name: string): EnvAsked {
  const { wrong } = check(EnvSpec, spec)
  return wrong === undefined ? spec : fail('invalid', wrong.replace(/^groups\.\d+\.ports\.\d+(?= is )/, '--vm-port').replace(/^groups\.\d+\.(\w+)(?= is )/, (_path, field: string) => labels[field] ?? field), { subject: `env/${name}` })
}

const labels: Record<string, string> = { count: '--count', cpu: '--cpu-num', memMb: '--mem-size', diskMb: '--disk-size' }

function lifeEdit(given: Given, nowMs: () => number): Edit | undefined {
  const change = lifeChange(given, nowMs())
  const longLife = given.has('long-life')
  if (!change && !longLife) return undefined
  return (spec, env) => ({ ...spec, ...(longLife ? { longLife } : {}), ...(change ? { lifetimeSeconds: change(env, nowMs()) } : {}) })
}

function endEdit(given: Given): Edit | undefined {
  if (given.has('keep-disks') && given.has('no-keep-disks')) fail('invalid', 'either --keep-disks or --no-keep-disks')
  const keepDisks = given.has('keep-disks') ? true : given.has('no-keep-disks') ? false : undefined
  const atEnd = given.has('at-end') ? atEndOf(given.one('at-end') ?? '') : undefined
  if (keepDisks === undefined && atEnd === undefined) return undefined
  return (spec) => ({ ...spec, ...(keepDisks === undefined ? {} : { keepDisks }), ...(atEnd === undefined ? {} : { atEnd }) })
}

/** `delete` or `stop`. */
export const atEndOf = (text: string): 'delete' | 'stop' => (text === 'delete' || text === 'stop' ? text : fail('invalid', `--at-end is ${JSON.stringify(text.slice(0, 40))}, allowed is delete or stop`))
