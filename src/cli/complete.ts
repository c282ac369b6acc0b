import { deadline } from '../base/world.ts'
import { afterBreak, bashWords, candidatesOf } from './candidates.ts'
import type { Action, Invocation } from './invocation.ts'
import { type Kind, kinds } from '../model/kinds.ts'

/** A server that is slower than this is not waited for: somebody is at the keyboard. */
const patienceMs = 1000

/** What the completion scripts ask, `tt __complete SHELL -- WORDS…`: one candidate a line. Never fails, for nobody would see it. */
export const complete: Action = {
  operands: [{ name: 'SHELL' }],
  rest: 'WORD',
  flags: [],
  examples: [],
  async run(invocation) {
    const { given, print } = invocation
    const [shell = ''] = given.operands
    const words = shell === 'bash' ? bashWords(given.rest?.[0] ?? '') : (given.rest ?? [])
    const { typed, lead, words: known, of, operands } = await candidatesOf(words)
    const names = of === undefined ? [] : of === 'file' ? await filesOf(invocation, typed.slice(lead.length)) : await namesOf(invocation, of, { operands, typed: typed.slice(lead.length) })
    const found = [...known, ...names.map((name) => lead + name)].filter((candidate) => candidate.startsWith(typed))
    // A name with anything else in it could end up as a command on somebody's line.
    const harmless = found.filter((candidate) => /^[\w.,:/=@+-]+$/.test(candidate))
    if (harmless.length > 0) await print(harmless.map((candidate) => (shell === 'bash' ? afterBreak(candidate, typed) : candidate)).join('\n'))
  },
}

/** Files and directories here that the typed part of a path can become. */
async function filesOf({ terminal }: Invocation, typed: string): Promise<string[]> {
  try {
    const files = await terminal.files()
    const dir = typed.slice(0, typed.lastIndexOf('/') + 1)
    const names = (await files.list(dir === '' ? '.' : dir)).filter((name) => (dir + name).startsWith(typed) && (!name.startsWith('.') || typed !== dir))
    return await Promise.all(names.map(async (name) => dir + name + ((await files.stat(dir + name, { follow: true }))?.type === 'directory' ? '/' : '')))
  } catch {
    return []
  }
}

/** What there is of a kind, asked from whoever knows it. Who does not answer in time knows nothing. */
async function namesOf({ cloud, terminal }: Invocation, of: string, { operands, typed }: { operands: readonly string[]; typed: string }): Promise<string[]> {
  try {
    if (of === 'flavor') return (await import('../model/flavors.ts')).flavors.flatMap(({ name, id }) => [name, id])
    if (of === 'setting') return Object.keys((await import('./client-settings.ts')).clientSchema)
    if (of === 'role' || of === 'right') return [...(await import('../model/user.ts'))[`${of}s`]]
    if (of === 'state') return [...(await import('../model/task.ts')).taskStates]
    using limit = deadline(terminal.world, patienceMs, terminal.signal)
    const call = { signal: limit.signal }
    const isKind = (text: string): text is Kind => kinds.some((kind) => kind === text)
    if (of === 'index') {
      const vms = await Promise.all(operands.map(async (under) => (await (await cloud()).collection('vm').list({ under }, call)).items))
      return [...new Set(vms.flat().map(({ spec }) => String(spec.index)))]
    }
    // The VMs of an ENV once its name stands there, for there may be thousands.
    const [, under] = of === 'vm' ? (/^([^.]+)\./.exec(typed) ?? []) : []
    if (under !== undefined) return (await (await cloud()).collection('vm').list({ under }, call)).items.map(({ name }) => name)
    const kind = of === 'prefix' ? 'image' : of === 'vm' ? 'env' : of
    if (!isKind(kind)) return []
    const { items } = await (await cloud()).collection(kind).list({}, call)
    const names = items.map(({ name }) => name)
    return of === 'prefix' ? [...new Set(names.flatMap((name) => [name, name.slice(name.indexOf(':') + 1)]))] : names
  } catch {
    return []
  }
}
