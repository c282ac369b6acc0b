import { sha256 } from '../../base/sha256.ts'
import { randomHex } from '../../base/world.ts'
import type { Cloud } from '../../model/cloud.ts'
import { errorOf, fail } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { parseTokenName, shown } from '../../model/names.ts'
import { type Role, roles } from '../../model/user.ts'
import { secondsOf } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { ago, until } from '../moments.ts'
import { eachOf, tellOutcomes } from '../several.ts'
import { tokenShape } from '../shapes.ts'
import { type Column, table } from '../table.ts'
import { visible } from '../text.ts'

type Token = Resource<'token'>

/** `tt token add [USER/]NAME`. */
export const add: Action = {
  operands: [{ name: '[USER/]NAME' }],
  flags: [
    { long: 'expires', short: 'e', value: 'TIME', about: 'When it ends: 30d, 12h, 90m from now, or a moment such as 2030-01-31T12:00:00Z', default: 'never' },
    { long: 'role', value: 'ROLE', of: 'role', about: `May do no more than this: ${roles.join(', ')}`, default: "the user's" },
  ],
  details: [
    'The secret is made on this machine and printed once, alone on standard output; the server gets its sha256 only, so nobody can show it again. Keep it in a file that only you can read, or hand it straight to tt config.',
    'Without USER/ the token is your own. Only an admin makes tokens for others.',
  ],
  examples: [
    { line: 'tt token add ann/first', about: 'for ann, as an admin' },
    { line: 'tt token add laptop --expires 30d | tt config --client-id laptop --token-file -', about: 'a token of your own for this client, never seen by anybody' },
    { line: 'tt token add wall --role viewer', about: 'one that only looks' },
  ],
  async run(invocation) {
    const { given, call, json, terminal, note, print, printJson } = invocation
    const expires = expiresAsked(invocation)
    const role = roleAsked(given.one('role'))
    const cloud = await invocation.cloud()
    const name = await fullName(invocation, cloud, given.operands[0] ?? '')
    const secret = randomHex(terminal.world, secretBytes)
    const spec = { sha256: sha256(secret), ...(role === undefined ? {} : { role }), ...(expires === undefined ? {} : { expires }) }
    const token = await cloud.collection('token').put(name, { spec, expect: 'absent' }, call)
    if (json) return printJson({ tokens: [tokenShape(token)], secret })
    await print(secret)
    await note(`tt: that is ${name}, shown this once; it ends ${until(token.spec.expires, terminal.world.now())}`)
  },
}

/** `tt token list [USER]`. */
export const list: Action = {
  operands: [{ name: 'USER', optional: true, of: 'user' }],
  flags: [
    { long: 'quiet', short: 'q', about: 'Print names only, one a line' },
    { long: 'all', short: 'a', about: "Also others', for an admin" },
  ],
  examples: [
    { line: 'tt token list', about: 'your own' },
    { line: 'tt token list ann', about: 'those of ann, as an admin' },
  ],
  async run(invocation) {
    const { given, call, json, quiet, terminal, print, printJson } = invocation
    const [under] = given.operands
    const { items, missing } = await (await invocation.cloud()).collection('token').list({ ...(under === undefined ? {} : { under }), ...(given.has('all') ? { all: true } : {}) }, call)
    if (json) await printJson({ tokens: items.map(tokenShape), missing })
    else if (quiet) for (const { name } of items) await print(visible(name))
    else await print(table(items, columns(terminal.world.now()), terminal.out.screen()))
    for (const problem of missing) await invocation.report(errorOf(problem))
  },
}

/** `tt token del [USER/]NAME…`. */
export const del: Action = {
  operands: [{ name: '[USER/]NAME', many: true, of: 'token' }],
  flags: [],
  details: ['It is worth nothing from that moment, and what it has open ends: commands, consoles, watches.'],
  examples: [{ line: 'tt token del laptop', about: 'your own' }],
  async run(invocation) {
    const cloud = await invocation.cloud()
    const names: string[] = []
    for (const operand of new Set(invocation.given.operands)) names.push(await fullName(invocation, cloud, operand))
    const outcomes = await eachOf(invocation, names, async (name) => {
      await cloud.collection('token').remove(name, {}, invocation.call)
      return 'revoked'
    })
    await tellOutcomes(invocation, outcomes)
  },
}

/** 256 bits: nobody guesses one, however many there are. */
const secretBytes = 32

const columns = (nowMs: number): Column<Token>[] => [
  { title: 'TOKEN', text: ({ name }) => name },
  { title: 'ROLE', text: ({ spec }) => spec.role ?? "the user's" },
  { title: 'CREATED', text: ({ created }) => ago(created, nowMs) },
  { title: 'ENDS', text: ({ spec, status }) => (status?.expired ? 'expired' : until(spec.expires, nowMs)), colour: ({ status }) => (status?.expired ? 'red' : undefined) },
]

/** The token as the cloud calls it: what stands alone is the caller's own. */
async function fullName({ call }: Invocation, cloud: Cloud, text: string): Promise<string> {
  const wrong = () => fail('invalid', `${shown(text)} is not the name of a token`, { remedy: 'write NAME or USER/NAME, each of letters, digits, "-" and "_"' })
  if (text.includes('/')) return parseTokenName(text) ? text : wrong()
  if (!parseTokenName(`x/${text}`)) wrong()
  return `${(await cloud.about(call)).user}/${text}`
}

function expiresAsked({ given, terminal }: Invocation): string | undefined {
  const text = given.one('expires')
  if (text === undefined || text === 'never') return undefined
  const nowMs = terminal.world.now()
  const seconds = secondsOf(text)
  const endMs = seconds === undefined ? (/^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN) : nowMs + seconds * 1000
  if (!(endMs > nowMs) || endMs > Date.UTC(9999, 11, 31)) fail('invalid', `--expires is ${shown(text)}, allowed is a time that comes, such as 30d, 12h or 2030-01-31T12:00:00Z, or never`)
  return new Date(endMs).toISOString()
}

const roleAsked = (text: string | undefined): Role | undefined =>
  text === undefined ? undefined : (roles.find((role) => role === text) ?? fail('invalid', `--role is ${shown(text)}, allowed is ${roles.join(', ')}`))
