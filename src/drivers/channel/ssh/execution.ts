import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import type { ClientChannel, PseudoTtyOptions } from 'ssh2'
import { randomHex, type World } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail, TtError } from '../../../model/errors.ts'
import type { Command, Exit } from '../../../model/session.ts'
import type { ExecOptions } from '../channel.ts'
import { interpreterOf } from '../../../model/script.ts'
import { header } from './header.ts'
import type { Login } from './login.ts'
import { posix, reading, shellTextOf } from '../shell-text.ts'

/** How long what was ended is waited for: a guest that is frozen would never tell. */
const killPatienceMs = 3000
/** What a command left in the background may hold its output for so long after its end, if it says nothing. */
const afterlifeMs = 1000
/** What runs in a terminal may take so long to end once it was hung up. */
const hangUpMs = 1000
const refusedStart = "the guest's server of ssh does not take the command"
/** Whether nothing was begun. */
export const isRefusedStart = (fault: Error): boolean => fault.message.startsWith(refusedStart)
const defaultTerm = 'xterm-256color'

/** One command over a connection, from its channel to its end. */
export async function execute(command: Command, options: ExecOptions, { login, world, closed, call }: { login: Login; world: World; closed: AbortSignal; call?: Call }): Promise<Exit> {
  const { tty, env, cwd } = options
  const mark = `tt-${randomHex(world, 12)}`
  const asked = shellTextOf(command, { env, cwd, mark, headerTo: tty ? 'stdout' : 'stderr' })
  const pty: PseudoTtyOptions | undefined = tty && { cols: tty.columns, rows: tty.rows, term: tty.term ?? defaultTerm }
  const text = asked.carried === undefined ? asked.text : reading(await carried(login, asked.carried), asked.text)
  if (call?.signal?.aborted) throw asTtError(call.signal.reason)
  const channel = await login.exec(text, pty).catch((fault: Error) => fail('unavailable', `${refusedStart}: ${fault.message}`, { cause: fault }))

  const line = header(mark)
  const { promise: failed, reject: breakOff } = Promise.withResolvers<never>()
  failed.catch(() => undefined)
  const over = new AbortController()
  let exit: Exit | undefined
  let lastHeard = world.ticks()
  let holding = 0
  /** What the guest said of it in the header: its process. */
  let pid: string | undefined
  line.said.then((said) => (pid = /^\d{1,10}$/.exec(said)?.[0])).catch(breakOff)

  const signalled = async (name: string): Promise<void> => {
    const [of = pid] = pid === undefined ? [await Promise.race([line.said, failed])] : []
    if (of === undefined || !/^\d{1,10}$/.test(of)) return
    const short = name.slice(3)
    // The group it leads, or itself where it leads none.
    const helper = await login.exec(posix(`kill -${short} -${of} 2>/dev/null || kill -${short} ${of} 2>/dev/null; true`))
    helper.resume().stderr.resume()
    helper.end()
  }
  const read = async (name: 'stdout' | 'stderr', from: Readable) => {
    const hasLine = name === (tty ? 'stdout' : 'stderr')
    // Destroyed at the end of its output, as is usual, a channel would be closed before Dropbear says how the command ended.
    for await (const piece of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      lastHeard = world.ticks()
      const own = hasLine ? line.take(piece) : piece
      if (!own || own.length === 0) continue
      holding++
      await options.output(name, own)
      holding--
      lastHeard = world.ticks()
    }
  }
  const { promise: ended, resolve: end } = Promise.withResolvers<'closed' | 'quiet'>()
  const hearExit = (code?: number | null, signal?: string) => {
    if (code === undefined) return
    if (exit) return
    exit = code === null ? { signal: signal ?? 'SIGKILL' } : { code }
    // OpenSSH may tell the end before it has read the last of the output: the quiet counts from here.
    lastHeard = world.ticks()
    watchAfterlife().catch(breakOff)
  }
  channel.on('exit', hearExit)
  channel.on('close', (code?: number | null, signal?: string) => {
    // Of a command that was over before anybody listened the end is told here only.
    hearExit(code, signal)
    end('closed')
  })
  const watchAfterlife = async () => {
    while (!over.signal.aborted) {
      const before = lastHeard
      await world.sleep(Math.max(10, afterlifeMs - (world.ticks() - lastHeard)))
      // A busy machine is quiet too: what was read of the command before an answer to something asked later has come by then.
      if (lastHeard === before) await answered(login).catch(() => undefined)
      if (holding === 0 && lastHeard === before && channel.readableLength + channel.stderr.readableLength === 0) return end('quiet')
    }
  }
  const reads = Promise.all([read('stdout', channel), read('stderr', channel.stderr)])
  reads.catch(breakOff)

  // What comes after is dropped, but taken: a stream without a listener for its errors would end the server.
  channel.on('error', () => undefined)
  channel.stderr.on('error', () => undefined)
  // A terminal echoes what is typed at once, and that is to come after the line that is taken away.
  const feeding = (tty ? Promise.race([line.said, ended]) : Promise.resolve()).then(() => feed(channel, options, { over: over.signal, hangUp: () => hangUp(signalled, channel, world) }))
  feeding.catch(breakOff)
  const signals = passOn(options.signals, over.signal, signalled)
  signals.catch(breakOff)
  const sizes = resize(options.sizes, over.signal, channel)
  sizes.catch(breakOff)
  const abort = () => breakOff(asTtError(call?.signal?.reason))
  const close = () => breakOff(closed.reason)
  call?.signal?.addEventListener('abort', abort, { once: true })
  closed.addEventListener('abort', close, { once: true })
  if (call?.signal?.aborted) abort()
  if (closed.aborted) close()

  try {
    const how = await Promise.race([ended, failed])
    // All has come then, but may be with a reader that takes its time.
    if (exit === undefined || how === 'closed') await Promise.race([reads, failed])
    const said = await Promise.race([line.said, world.sleep(0).then(() => undefined)])
    refuseUnstarted(said, command, cwd)
    if (exit) return exit
    if (login.over) throw lost()
    return await Promise.race([login.ended.then(() => Promise.reject(lost())), world.sleep(killPatienceMs).then(() => fail('failed', 'the guest did not say how the command ended'))])
  } catch (thrown) {
    if (!exit && !login.over) await Promise.race([signalled('SIGKILL').then(() => ended).catch(() => undefined), world.sleep(killPatienceMs)])
    throw thrown
  } finally {
    over.abort()
    call?.signal?.removeEventListener('abort', abort)
    closed.removeEventListener('abort', close)
    channel.close()
    channel.destroy()
  }
}

/** Waits until the server has answered something. One that takes a single command at a time is not asked. */
async function answered({ room, over, exec }: Login): Promise<void> {
  if (over || room === 1) return
  const channel = await exec(posix('true'))
  channel.end()
  channel.stderr.resume()
  await Array.fromAsync(channel)
}

const lost = () => new TtError({ code: 'unavailable', message: 'the connection to the guest broke while the command ran: whether it had an effect is not known' })

function refuseUnstarted(said: string | undefined, command: Command, cwd?: string): void {
  if (said === 'cwd') fail('failed', `the guest cannot enter the directory '${cwd?.slice(0, 200)}'`)
  if (said === 'none') fail('not_found', `the guest has no program '${(command.argv?.[0] ?? interpreterOf(command.script ?? '')?.program ?? '/bin/sh').slice(0, 200)}'`)
}

/** Puts a text into a file of the guest that only root can read; gives its path. */
async function carried(login: Login, text: string): Promise<string> {
  const channel = await login.exec(posix('umask 077; f=$(mktemp "${TMPDIR:-/tmp}/.tt-XXXXXXXX") && cat >"$f" && echo "$f"'))
  channel.end(text)
  channel.stderr.resume()
  let said = ''
  for await (const piece of channel as AsyncIterable<Buffer>) said = (said + piece.toString('latin1')).slice(-4096)
  const path = said.trim().split('\n').at(-1) ?? ''
  if (!/^\/[\x21-\x7e]+$/.test(path)) fail('failed', 'the guest has no room for a long command in its directory of temporary files')
  return path
}

/** What is typed, or given as input, as fast as the guest takes it. */
async function feed(channel: ClientChannel, { stdin, tty }: ExecOptions, { over, hangUp }: { over: AbortSignal; hangUp: () => Promise<void> }): Promise<void> {
  if (!stdin) {
    if (!tty) channel.eof()
    return
  }
  for await (const piece of until(stdin, over)) {
    if (channel.write(piece)) continue
    await new Promise<void>((resolve) => {
      channel.once('drain', resolve).once('close', resolve)
      over.addEventListener('abort', () => resolve(), { once: true })
    })
  }
  if (over.aborted) return
  if (tty) await hangUp()
  else channel.end()
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
