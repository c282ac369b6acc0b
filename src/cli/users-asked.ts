import type { Flag, Given } from '../base/arguments.ts'
import { check } from '../model/check.ts'
import { fail } from '../model/errors.ts'
import { checkUserName } from '../model/names.ts'
import { type UserAsked, UserSpec } from '../model/user.ts'
import { wholeNumber } from './flag-values.ts'

const quotaFlags = { cpu: 'cpu-num', memMb: 'mem-size', diskMb: 'disk-size', vms: 'vms' } as const

/** What an account is like. */
export const userFlags: readonly Flag[] = [
  { long: 'role', value: 'ROLE', of: 'role', about: "What they may do: admin everything, user what is theirs, viewer look at everybody's", default: 'user' },
  { long: 'rights', value: 'RIGHT', list: 'commas', of: 'right', about: 'What more: longLife, to give ENVs a life beyond the limit; listAll, to see by tt env listall that others have ENVs; or none', default: 'none' },
  { long: quotaFlags.cpu, short: 'C', value: 'N', about: 'Cpus of all their VMs together; none for no limit', default: 'none' },
  { long: quotaFlags.memMb, short: 'M', value: 'MB', about: 'Memory of all their VMs together', default: 'none' },
  { long: quotaFlags.diskMb, short: 'D', value: 'MB', about: 'Disk of all their VMs together', default: 'none' },
  { long: quotaFlags.vms, value: 'N', about: 'How many VMs they may have', default: 'none' },
  { long: 'memo', value: 'TEXT', about: 'Who it is, for people' },
]

/** The account with what the flags say in place of what it was. */
export function userAsked(given: Given, before: UserAsked = {}): UserAsked {
  const quota = { ...before.quota }
  const asked: UserAsked = { ...before, quota }
  if (given.has('role')) asked.role = given.one('role') as UserAsked['role']
  if (given.has('rights')) asked.rights = given.all('rights').filter((right) => right !== 'none') as UserAsked['rights']
  if (given.has('memo')) asked.memo = given.one('memo')
  if (asked.memo === '') delete asked.memo
  for (const [field, flag] of Object.entries(quotaFlags) as [keyof typeof quotaFlags, string][]) {
    const text = given.one(flag)
    if (text === 'none') delete quota[field]
    else if (text !== undefined) quota[field] = wholeNumber(`--${flag}`, text)
  }
  const { value, wrong } = check(UserSpec, asked)
  return value ?? fail('invalid', flagged(wrong), { remedy: 'see `tt user add --help`' })
}

/** The names of users a command was called with, each once; one that is none is refused before anything is done to the others. */
export function userNames({ operands }: Given): string[] {
  const names = [...new Set(operands)]
  names.forEach(checkUserName)
  return names
}

/** The server's sentence with the flag in place of the field that it fills. */
const flagged = (wrong: string): string => wrong.replace(/^(?:quota\.)?(\w+)(?:\.\d+)?(?= is )/, (_all, field: string) => `--${Object.hasOwn(quotaFlags, field) ? quotaFlags[field as keyof typeof quotaFlags] : field}`)
