import { asTtError, fail } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { checkUserName } from '../../model/names.ts'
import type { UserAsked } from '../../model/user.ts'
import type { Action, Invocation } from '../invocation.ts'
import { eachOf, tellOutcomes } from '../several.ts'
import { userShape } from '../shapes.ts'
import { userAsked, userFlags, userNames } from '../users-asked.ts'

/** `tt user add NAME`. */
export const add: Action = {
  operands: [{ name: 'NAME' }],
  flags: userFlags,
  details: ['The name is the owner of what they make. They come in by a token: make the first one for them with `tt token add NAME/TOKEN`; more they make themselves.'],
  examples: [
    { line: 'tt user add ann --cpu-num 16 --mem-size 32768 --vms 50', about: 'an ordinary user with a quota' },
    { line: 'tt user add watch --role viewer', about: "for a screen on the wall: it sees everybody's ENVs and changes nothing" },
  ],
  async run(invocation) {
    const { given, call, json, print, printJson, quiet } = invocation
    const [name = ''] = given.operands
    checkUserName(name)
    const spec = userAsked(given)
    const user = await (await invocation.cloud()).collection('user').put(name, { spec, expect: 'absent' }, call)
    if (json) await printJson({ users: [userShape(user)] })
    else if (!quiet) await print(`${name}: added as ${user.spec.role}; \`tt token add ${name}/TOKEN\` makes a token for them`)
  },
}

/** `tt user update NAME…`. */
export const update: Action = {
  operands: [{ name: 'NAME', many: true, of: 'user' }],
  flags: userFlags.map(({ default: _default, ...flag }) => flag),
  details: ['What is not named stays. When the role or the rights change, what their tokens have open ends, and they come in again with what holds now. A quota below what is used takes nothing away: it refuses more.'],
  examples: [
    { line: 'tt user update ann --rights longLife,listAll', about: 'instead of the rights before' },
    { line: 'tt user update ann bob --vms 100 --cpu-num none', about: 'up to 100 VMs each, as many cpus as there are' },
  ],
  async run(invocation) {
    const { given } = invocation
    const names = userNames(given)
    if (!userFlags.some(({ long }) => given.has(long))) fail('invalid', 'nothing to change', { remedy: 'see `tt user update --help`' })
    userAsked(given) // What is wrong with the flags is wrong for all of them.
    const outcomes = await eachOf(invocation, names, async (name) => {
      await changed(invocation, name, (spec) => userAsked(given, spec))
      return 'updated'
    })
    await tellOutcomes(invocation, outcomes)
  },
}

/** `tt user del NAME…`. */
export const del: Action = {
  operands: [{ name: 'NAME', many: true, of: 'user' }],
  flags: [],
  details: ['Their tokens are worth nothing from that moment, and what these have open ends. A user who has ENVs stays: delete those first.'],
  examples: [{ line: 'tt user del ann', about: 'the account and all tokens' }],
  async run(invocation) {
    const names = userNames(invocation.given)
    const cloud = await invocation.cloud()
    const outcomes = await eachOf(invocation, names, async (name) => {
      await cloud.collection('user').remove(name, {}, invocation.call)
      return 'deleted'
    })
    await tellOutcomes(invocation, outcomes)
  },
}

const triesMax = 5

/** The account with a change of its spec, of what was read: if somebody else changed it in between, it is read again. */
async function changed({ cloud, call }: Invocation, name: string, change: (spec: UserAsked) => UserAsked): Promise<Resource<'user'>> {
  const users = (await cloud()).collection('user')
  for (let tries = 1; ; tries++) {
    const seen = await users.get(name, call)
    try {
      return await users.put(name, { spec: change(seen.spec), expect: seen.revision }, call)
    } catch (thrown) {
      if (asTtError(thrown).code !== 'conflict' || tries >= triesMax) throw thrown
    }
  }
}
