import { errorOf } from '../../model/errors.ts'
import type { Demand } from '../../model/expand.ts'
import type { Resource } from '../../model/kinds.ts'
import { megabytes } from '../../model/units.ts'
import type { Role } from '../../model/user.ts'
import type { Action } from '../invocation.ts'
import { ago } from '../moments.ts'
import { userShape } from '../shapes.ts'
import { type Column, facts, table } from '../table.ts'
import { type Colour, painted, visible } from '../text.ts'
import { userNames } from '../users-asked.ts'

type User = Resource<'user'>

/** `tt user list`. */
export const list: Action = {
  operands: [],
  flags: [{ long: 'quiet', short: 'q', about: 'Print names only, one a line' }],
  details: ['What all ENVs of a user ask for is shown before what they may ask for.', 'Without being an admin you see your own account.'],
  examples: [{ line: 'tt user list', about: 'who there is, and what they use of what they may' }],
  async run(invocation) {
    const { call, json, quiet, terminal, print, printJson } = invocation
    const { items, missing } = await (await invocation.cloud()).collection('user').list({ all: true }, call)
    if (json) await printJson({ users: items.map(userShape), missing })
    else if (quiet) for (const { name } of items) await print(visible(name))
    else await print(table(items, columns, terminal.out.screen()))
    for (const problem of missing) await invocation.report(errorOf(problem))
  },
}

/** `tt user show NAME…`. */
export const show: Action = {
  operands: [{ name: 'NAME', many: true, of: 'user' }],
  flags: [],
  examples: [{ line: 'tt user show ann', about: 'role, rights, quota and tokens' }],
  async run(invocation) {
    const { given, call, json, terminal, print, printJson } = invocation
    const names = userNames(given)
    const cloud = await invocation.cloud()
    const found = await Promise.allSettled(
      names.map(async (name) => {
        const user = await cloud.collection('user').get(name, call)
        return { user, tokens: (await cloud.collection('token').list({ under: name }, call)).items }
      }),
    )
    const users = found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    if (json) await printJson({ users: users.map(({ user, tokens }) => ({ ...userShape(user), tokens: tokens.map(({ name }) => name) })) })
    else if (users.length > 0) await print(users.map(({ user, tokens }) => `${painted(visible(user.name), 'bold', terminal.out.screen())}\n${details(user, tokens, terminal.world.now())}`).join('\n\n'))
    for (const one of found) if (one.status === 'rejected') await invocation.report(one.reason)
  },
}

const colours: Partial<Record<Role, Colour>> = { admin: 'yellow', viewer: 'dim' }

/** `2/8`: used of what is allowed, or only used. */
const share = (user: User, field: keyof Demand, text: (value: number) => string = String): string => {
  const most = user.spec.quota[field]
  return `${text(user.status?.used[field] ?? 0)}${most === undefined ? '' : `/${text(most)}`}`
}

const isFull = (user: User, field: keyof Demand) => (user.status?.used[field] ?? 0) >= (user.spec.quota[field] ?? Infinity)

const quotaColumn = (title: string, field: keyof Demand, text?: (value: number) => string): Column<User> => ({
  title,
  align: 'right',
  text: (user) => share(user, field, text),
  colour: (user) => (isFull(user, field) ? 'red' : undefined),
})

const columns: Column<User>[] = [
  { title: 'USER', text: ({ name }) => name },
  { title: 'ROLE', text: ({ spec }) => spec.role, colour: ({ spec }) => colours[spec.role] },
  { title: 'RIGHTS', text: ({ spec }) => spec.rights.join(',') },
  { title: 'ENVS', align: 'right', text: ({ status }) => String(status?.envs ?? 0) },
  quotaColumn('VMS', 'vms'),
  quotaColumn('CPU', 'cpu'),
  quotaColumn('MEMORY', 'memMb', megabytes),
  quotaColumn('DISK', 'diskMb', megabytes),
  { title: 'MEMO', cut: true, text: ({ spec }) => spec.memo ?? '' },
]

function details(user: User, tokens: readonly Resource<'token'>[], nowMs: number): string {
  const { spec, status, created } = user
  const of = (field: keyof Demand, text: (value: number) => string = String) => `${text(status?.used[field] ?? 0)} of ${spec.quota[field] === undefined ? 'any number' : text(spec.quota[field])}`
  const pairs: [string, string][] = [
    ['role', spec.role],
    ['rights', spec.rights.join(', ')],
    ['memo', spec.memo ?? ''],
    ['created', ago(created, nowMs)],
    ['ENVs', String(status?.envs ?? 0)],
    ['VMs', of('vms')],
    ['cpus', of('cpu')],
    ['memory', of('memMb', megabytes)],
    ['disk', of('diskMb', megabytes)],
    ['tokens', tokens.map(({ name }) => name).join(', ')],
  ]
  return facts(pairs).replaceAll(/^/gm, '  ')
}
