import { constants } from 'node:os'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail, TtError } from '../../../model/errors.ts'
import type { Command, Exit } from '../../../model/session.ts'
import type { Channel, ExecOptions, GuestFiles } from '../../channel/channel.ts'
import { interpreterOf } from '../../../model/script.ts'
import { fakeFiles, type Inside } from './fake-files.ts'
import { runOf } from './guest.ts'
import { directories, exitOf, inputOf, type Process, sayer } from './process.ts'
import { isDeadly } from './programs.ts'
import type { Room } from './room.ts'
import type { Stream } from './script.ts'
import { programOf } from './shell.ts'
import { terminalOf, typedOf } from './terminal.ts'

const textLimitBytes = 1 << 20
/** Made once: without a reason each end of a command would make an error, which costs more than the command. */
const over = new TtError({ code: 'cancelled', message: 'the command has ended' })

/** Commands in a fake guest: interpreted here, by a shell that can do next to nothing. Costs nothing until it is used. */
export function fakeChannel(id: string, room: Room): Channel {
  const closing = new AbortController()
  let why: TtError | undefined
  let isHeard = false
  let files: GuestFiles | undefined

  const close = (message: string) => {
    why ??= new TtError({ code: 'unavailable', message })
    closing.abort(why)
  }
  const checkGuest = () => {
    if (room.disposed) close('the engine was stopped')
    else if (!room.guest(id)) close(`the guest ${id} is gone`)
  }
  const ready = async (call?: Call): Promise<void> => {
    for (;;) {
      checkGuest()
      if (why) throw why
      if (call?.signal?.aborted) throw asTtError(call.signal.reason)
      const now = room.world.now()
      const run = runOf(room.guest(id), now)
      if (run && run.ready <= now) return
      await room.changes.next(id, { ms: run && run.ready - now, signals: [closing.signal, call?.signal] })
    }
  }

  /** Aborts when a command must end: with its call, the run of its guest, or the engine. */
  const fateOf = (call?: Call) => {
    const fate = new AbortController()
    const run = runOf(room.guest(id), room.world.now())
    const giveUp = () => fate.abort(asTtError(call?.signal?.reason))
    const close = () => fate.abort(why)
    const check = () => {
      const now = runOf(room.guest(id), room.world.now())
      if (room.disposed || (run && now?.from === run.from)) return checkGuest()
      fate.abort(new TtError({ code: 'unavailable', message: 'the guest stopped: whether the command had an effect is not known' }))
    }
    const deaf = room.changes.hear(id, check)
    call?.signal?.addEventListener('abort', giveUp)
    closing.signal.addEventListener('abort', close)
    check() // What happened since the guest was found ready was heard by nobody.
    if (call?.signal?.aborted) giveUp()
    const end = () => {
      deaf()
      call?.signal?.removeEventListener('abort', giveUp)
      closing.signal.removeEventListener('abort', close)
      fate.abort(over)
    }
    return { signal: fate.signal, end }
  }

  /** Work on its files, which ends as a command would. */
  const inside: Inside = async (call, work) => {
    await ready(call)
    const guest = room.guest(id)
    const fate = fateOf(call)
    if (guest && room.isSilent(id, guest)) await never(fate)
    try {
      fate.signal.throwIfAborted()
      return await Promise.race([work(fate.signal), aborted(fate.signal)])
    } finally {
      fate.end()
    }
  }

  return {
    get files() {
      return (files ??= fakeFiles(id, room.disks, inside))
    },
    features: { tty: true, stdin: true, signals: true, files: true, identity: false, beats: false },
    ready,
    async ping(call) {
      await ready(call)
      const guest = room.guest(id)
      if (guest && room.isSilent(id, guest)) await never(fateOf(call))
    },
    async exec(command, options, call) {
      const [name, ...args] = argvOf(command, options)
      await ready(call)
      const guest = room.guest(id)
      const fate = fateOf(call)
      const terminal = options.tty && terminalOf(options)
      const input = inputOf(terminal ? typedOf(terminal) : options.stdin)
      const signals = signalsOf(options.signals)
      const run = async (): Promise<Exit> => {
        fate.signal.throwIfAborted()
        if (!guest) fail('unavailable', `the guest ${id} is gone`)
        if (room.isSilent(id, guest)) return aborted(fate.signal)
        await room.beforeExec(id, guest, fate.signal)
        const program = programOf(name) ?? fail('not_found', `there is no program ${name.slice(0, 200)} in the guest`)
        const env = new Map(Object.entries({ HOME: '/root', PATH: '/bin', SHELL: 'sh', ...(options.tty ? { TERM: options.tty.term ?? 'xterm-256color' } : {}), ...options.env, PWD: options.cwd ?? '/' }))
        const output = terminal ? (_: Stream, bytes: Uint8Array) => terminal.output(bytes) : options.output
        const self: Process = { world: room.world, hostname: guest.hostname, env, input, signal: fate.signal, say: sayer(room.world, fate.signal, output), ...(terminal ? { terminal } : {}) }
        return exitOf(await program(args, self))
      }
      try {
        return await Promise.race([run(), signals.deadly, ...(terminal ? [terminal.end] : []), aborted(fate.signal)])
      } catch (fault) {
        throw fate.signal.aborted ? fate.signal.reason : fault
      } finally {
        fate.end()
        input.close()
        terminal?.close()
        signals.close()
      }
    },
    halt: async (call) => {
      await ready(call)
      const guest = room.guest(id)
      if (guest && room.isSilent(id, guest)) await never(fateOf(call))
      await room.halt(id)
    },
    get closed() {
      checkGuest()
      if (!why && !isHeard) {
        isHeard = true
        closing.signal.addEventListener('abort', room.changes.hear(id, checkGuest))
      }
      return closing.signal
    },
    async [Symbol.asyncDispose]() {
      close('the channel was closed')
    },
  }
}

function argvOf(command: Command, { env = {}, cwd }: ExecOptions): [string, ...string[]] {
  const [name, ...args] = command.argv ?? (command.shell === undefined ? scriptArgv(command) : ['sh', '-c', command.shell])
  const texts = [name ?? '', ...args, ...Object.entries(env).flat(), cwd ?? '']
  if (name === undefined || name === '') fail('invalid', 'a command has to name a program')
  if (texts.some((text) => text.includes('\0'))) fail('invalid', 'a command cannot contain a zero byte')
  if (Object.keys(env).some((key) => key === '' || key.includes('='))) fail('invalid', 'a variable cannot have "=" in its name')
  if (texts.reduce((sum, text) => sum + text.length, 0) > textLimitBytes) fail('too_large', `a fake guest takes commands of at most ${textLimitBytes} characters`)
  if (cwd !== undefined && !directories.includes(cwd)) fail('failed', `there is no directory ${cwd} in the guest`)
  return [name, ...args]
}

/** A script that was sent along: its first line may name what runs it, and then how. */
function scriptArgv({ script, args = [] }: Extract<Command, { script: string }>): string[] {
  const interpreter = interpreterOf(script)?.program.replace(/^.*\//, '') ?? 'sh'
  return interpreter === 'sh' ? ['sh', '-c', script, 'script', ...args] : [interpreter, 'script', ...args]
}

/** The first of the given signals that ends a process; rejects if one is none. */
function signalsOf(signals?: AsyncIterable<string>) {
  const iterator = signals?.[Symbol.asyncIterator]()
  const first = async (): Promise<Exit> => {
    for (let next = await iterator?.next(); next && !next.done; next = await iterator?.next()) {
      if (!Object.hasOwn(constants.signals, next.value)) fail('invalid', `${next.value.slice(0, 40)} is no signal`)
      if (isDeadly(next.value)) return { signal: next.value }
    }
    return new Promise<never>(() => undefined)
  }
  return {
    deadly: first(),
    close() {
      iterator?.return?.().then(undefined, () => undefined)
    },
  }
}

/** The silence of a guest that hangs: ends with the call, the guest's run or the engine. */
async function never(fate: { signal: AbortSignal; end(): void }): Promise<never> {
  try {
    return await aborted(fate.signal)
  } finally {
    fate.end()
  }
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
