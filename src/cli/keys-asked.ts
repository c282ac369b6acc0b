import type { Flag } from '../base/arguments.ts'
import { check } from '../model/check.ts'
import { type EnvAsked, EnvSpec } from '../model/env.ts'
import { fail, reasonOf } from '../model/errors.ts'
import { shown } from '../model/names.ts'
import type { Edit } from './env-change.ts'
import type { Invocation } from './invocation.ts'

const keyFlag: Flag = { long: 'ssh-key', value: 'FILE|github:USER', list: 'repeat', about: 'A public key, or a file of several, that may enter its guests as root by ssh; or those that a user of GitHub shows' }

/** Who may enter the guests of a new ENV, and what cloud-init in them is told. */
export const entryFlags: readonly Flag[] = [keyFlag, { long: 'user-data', value: 'FILE', about: 'For cloud-init in its guests, at their first boot: #cloud-config, a script, …' }]

/** What of it changes while the guests run. */
export const keyEditFlags: readonly Flag[] = [{ ...keyFlag, about: `${keyFlag.about}; in place of those it has` }, { long: 'no-ssh-key', about: 'No key but that of its hosts' }]

const mostBytes = 64 << 10
const githubDefault = 'https://github.com'

/** The part of a new ENV that these flags describe. */
export async function entryAsked(invocation: Invocation): Promise<Pick<EnvAsked, 'sshKeys' | 'userData'>> {
  const { given } = invocation
  const userData = given.has('user-data') ? textOf(invocation, '--user-data', given.one('user-data') ?? '') : undefined
  const { wrong } = check(EnvSpec, { groups: [{ prefix: 'any' }], userData })
  if (wrong !== undefined) fail('invalid', wrong.replace(/^userData/, '--user-data'))
  return { ...(given.has('ssh-key') ? { sshKeys: await keysOf(invocation) } : {}), ...(userData === undefined ? {} : { userData }) }
}

/** What these flags change of an ENV. */
export async function keyEdit(invocation: Invocation): Promise<Edit | undefined> {
  const { given } = invocation
  if (given.has('ssh-key') && given.has('no-ssh-key')) fail('invalid', 'either --ssh-key or --no-ssh-key')
  if (!given.has('ssh-key') && !given.has('no-ssh-key')) return undefined
  const sshKeys = await keysOf(invocation)
  return (spec) => ({ ...spec, sshKeys })
}

/** Every key once, in the order given. */
async function keysOf(invocation: Invocation): Promise<string[]> {
  const keys: string[] = []
  for (const source of new Set(invocation.given.all('ssh-key'))) keys.push(...(await keysFrom(invocation, source)))
  return [...new Set(keys)]
}

async function keysFrom(invocation: Invocation, source: string): Promise<string[]> {
  if (source === '' || source === '-') fail('invalid', '--ssh-key names a file with a public key, or a user of GitHub as github:ann', { remedy: 'for example --ssh-key ~/.ssh/id_ed25519.pub' })
  const text = source.startsWith('github:') ? await githubKeys(invocation, source.slice('github:'.length)) : textOf(invocation, '--ssh-key', source)
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----|^PuTTY-User-Key-File/m.test(text)) fail('invalid', `${source} holds a private key, which is for nobody but you`, { remedy: `name its public half: --ssh-key ${source}.pub (\`ssh-keygen -y -f ${source}\` prints it)` })
  const lines = text.split(/\r?\n/).map((line) => line.trim())
  const keys = lines.flatMap((line, at) => (line === '' || line.startsWith('#') ? [] : [{ line, at: at + 1 }]))
  if (keys.length === 0) fail('invalid', `${source} holds no key`)
  for (const { line, at } of keys) {
    const { wrong } = check(EnvSpec, { groups: [{ prefix: 'any' }], sshKeys: [line] })
    if (wrong !== undefined) fail('invalid', `${source}, line ${at}, is no public key: ${shown(line)}`, { remedy: 'a line is a type, the key and perhaps a name, as ssh-keygen writes it: ssh-ed25519 AAAA… ann@laptop' })
  }
  return keys.map(({ line }) => line)
}

async function githubKeys({ terminal, call }: Invocation, user: string): Promise<string> {
  if (!/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})$/.test(user)) fail('invalid', `${shown(user)} is no name of a user of GitHub`)
  const text = await terminal.fetchText(`${terminal.variables['TT_GITHUB_URL'] || githubDefault}/${user}.keys`, { limitBytes: mostBytes, ...call })
  if (text === undefined) fail('not_found', `GitHub knows no user ${user}`)
  return text
}

function textOf({ terminal }: Invocation, flag: string, path: string): string {
  let text: string
  try {
    text = terminal.readFile(path)
  } catch (fault) {
    return fail('invalid', `${flag}: ${shown(path)} cannot be read: ${reasonOf(fault)}`)
  }
  return text.length > mostBytes ? fail('too_large', `${flag}: ${shown(path)} has more than ${mostBytes >> 10} KB`) : text
}
