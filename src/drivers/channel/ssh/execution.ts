import { constants } from 'node:os'
import type { ClientChannel } from 'ssh2'
import { randomHex, type World } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail, TtError } from '../../../model/errors.ts'
import type { Command, Exit } from '../../../model/session.ts'
import type { ExecOptions } from '../channel.ts'
import { interpreterOf } from '../../../model/script.ts'
import { carried } from './carried.ts'
import { hearing } from './hearing.ts'
import type { Login } from './login.ts'
import { reading, shellTextOf } from '../shell-text.ts'
import { within } from '../within.ts'

/** How long what was ended is waited for: a guest that is frozen would never tell. */
const killPatienceMs = 3000
/** What runs in a terminal may take so long to end once it was hung up. */
const hangUpMs = 1000
const refusedStart = "the guest's server of ssh does not take the command"
/** Whether nothing was begun. */
export const isRefusedStart = (fault: Error): boolean => fault.message.startsWith(refusedStart)
const defaultTerm = 'xterm-256color'

export interface Place {
  login: Login
  world: World
  closed: AbortSignal
  /** Runs a few words of a POSIX shell in the guest, over this connection or another beside it; with `later` also over one that comes after it. */
  aside(text: string, how?: { later?: boolean }): Promise<void>
}

/** One command over a connection, from its channel to its end. */
export async function execute(command: Command, options: ExecOptions, { login, world, closed, aside, call }: Place & { call?: Call }): Promise<Exit> {
  const { tty, env, cwd } = options
  const fates = [call?.signal, closed]
  for (const fate of fates) if (fate?.aborted) throw asTtError(fate.reason)
  const mark = `tt-${randomHex(world, 12)}`
  const asked = shellTextOf(command, { env, cwd, mark, headerTo: tty ? 'stdout' : 'stderr' })
  const forget = (path: string) => void aside(`rm -f ${path}`, { later: true }).catch(() => undefined)
  const file = asked.carried === undefined ? undefined : await carried(login, asked.carried, { world, signals: fates, forget }).catch((fault: unknown) => refused(fault))
  const heard = hearing(options, { mark, login, world })
  const opening = login.exec(file === undefined ? asked.text : reading(file, asked.text), { pty: tty && { cols: tty.columns, rows: tty.rows, term: tty.term ?? defaultTerm }, begun: heard.begin })
  if (file !== undefined) opening.catch(() => forget(file))

  const over = new AbortController()
  const { promise: failed, reject: breakOff } = Promise.withResolvers<never>()
  failed.catch(() => undefined)
  const signalled = async (name: string): Promise<void> => {
    const [pid] = /^\d{1,10}$/.exec((await heard.said) ?? '') ?? []
    const short = name.slice(3)
    // The group it leads, or itself where it leads none.
    if (pid !== undefined) await aside(`kill -${short} -${pid} 2>/dev/null || kill -${short} ${pid} 2>/dev/null; true`)
  }
  const follow = async (): Promise<Exit> => {
    const channel = await opening.catch((fault: unknown) => refused(fault))
    // A terminal echoes what is typed at once, and that is to come after the line that is taken away.
    const feeding = (tty ? heard.said : Promise.resolve()).then(() => feed(channel, options, { over: over.signal, hangUp: () => hangUp(signalled, channel, world) }))
    feeding.catch(breakOff)
    passOn(options.signals, over.signal, signalled).catch(breakOff)
    resize(options.sizes, over.signal, channel).catch(breakOff)
    const how = await heard.ended
    if (how === 'broken') throw lost()
    if (!heard.exit) return Promise.race([login.ended.then(() => Promise.reject(lost())), world.sleep(killPatienceMs).then(() => fail('failed', 'the guest did not say how the command ended'))])
    refuseUnstarted(await heard.said, heard.exit, { command, cwd })
    return heard.exit
  }
  /** Also what has been asked for and not begun yet: it is ended as soon as it can be. */
  const kill = async () => {
    await opening
    await signalled('SIGKILL')
    await heard.ended
  }

  let ending: Promise<unknown> | undefined
  try {
    return await within(Promise.race([follow(), failed]), ...fates)
  } catch (thrown) {
    over.abort()
    heard.leave()
    if (!heard.exit && !login.over) {
      ending = kill().catch(() => undefined)
      await Promise.race([ending, world.sleep(killPatienceMs)])
    }
    throw thrown
  } finally {
    over.abort()
    heard.leave()
    const last = ending ?? Promise.resolve()
    last.then(() => opening.then(drop)).catch(() => undefined)
  }
}

function drop(channel: ClientChannel): void {
  channel.close()
  channel.destroy()
}

/** Tells that a command was not begun. */
function refused(fault: unknown): never {
  if (fault instanceof TtError) throw fault
  return fail('unavailable', `${refusedStart}: ${(fault as Error).message}`, { cause: fault })
}

const lost = () => new TtError({ code: 'unavailable', message: 'the connection to the guest broke while the command ran: whether it had an effect is not known' })

function refuseUnstarted(said: string | undefined, { code, signal }: Exit, { command, cwd }: { command: Command; cwd?: string }): void {
  if (said === 'cwd') fail('failed', `the guest cannot enter the directory '${cwd?.slice(0, 200)}'`)
  if (said === 'none') fail('not_found', `the guest has no program '${(command.argv?.[0] ?? interpreterOf(command.script ?? '')?.program ?? '/bin/sh').slice(0, 200)}'`)
  if (said === undefined) fail('failed', `the command was not begun: what the guest runs for its root in place of a shell ended with ${signal ?? code}`, { remedy: "see the login shell of root in the guest, and the settings of its server of ssh (ForceCommand)" })
}

/** What is typed, or given as input, as fast as the guest takes it. */
async function feed(channel: ClientChannel, { stdin, tty }: ExecOptions, { over, hangUp }: { over: AbortSignal; hangUp: () => Promise<void> }): Promise<void> {
  if (!stdin) {
    if (!tty) channel.eof()
    return
  }
  for await (const piece of until(stdin, over)) {
    if (!channel.write(piece)) await drained(channel, over)
  }
  if (over.aborted) return
  if (tty) await hangUp()
  else channel.end()
}

/** Waits until more can be written, or never will. */
async function drained(channel: ClientChannel, over: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const go = () => resolve()
  channel.once('drain', go).once('close', go)
  over.addEventListener('abort', go, { once: true })
  if (over.aborted) go()
  await promise
  channel.off('drain', go).off('close', go)
  over.removeEventListener('abort', go)
}

/** A window that is closed: what runs in the terminal is told so, and then it is gone. */
async function hangUp(signalled: (name: string) => Promise<void>, channel: ClientChannel, world: World): Promise<void> {
  await signalled('SIGHUP').catch(() => undefined)
  await world.sleep(hangUpMs)
  channel.close()
}

async function passOn(signals: AsyncIterable<string> | undefined, over: AbortSignal, signalled: (name: string) => Promise<void>): Promise<void> {
  if (!signals) return
  for await (const name of until(signals, over)) {
    if (!Object.hasOwn(constants.signals, name)) fail('invalid', `there is no signal '${name.slice(0, 32)}'`)
    await signalled(name)
  }
}

async function resize(sizes: ExecOptions['sizes'], over: AbortSignal, channel: ClientChannel): Promise<void> {
  if (!sizes) return
  for await (const { columns, rows } of until(sizes, over)) channel.setWindow(rows, columns, 0, 0)
}

/** The values until `over`, however long the next takes. */
async function* until<T>(source: AsyncIterable<T>, over: AbortSignal): AsyncIterable<T> {
  let stop: (() => void) | undefined
  over.addEventListener('abort', () => stop?.(), { once: true })
  const iterator = source[Symbol.asyncIterator]()
  try {
    for (;;) {
      if (over.aborted) return
      // Not a race against one promise for all: what waits for that would hold every value until the end.
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        stop = () => resolve(undefined)
        iterator.next().then(resolve, reject)
      })
      if (next === undefined || next.done || over.aborted) return
      yield next.value
    }
  } finally {
    // It may be in the middle of a wait that never ends, so its end is not waited for.
    iterator.return?.().catch(() => undefined)
  }
}
