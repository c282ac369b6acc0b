import type { Readable } from 'node:stream'
import type { ClientChannel } from 'ssh2'
import type { World } from '../../../base/world.ts'
import type { Exit } from '../../../model/session.ts'
import type { ExecOptions } from '../channel.ts'
import { header } from './header.ts'
import type { Login } from './login.ts'

/** What is heard of one command. */
export interface Hearing {
  /** Is told of its channel before anything else can come of it. */
  begin(channel: ClientChannel): void
  /** What the guest says before the command begins; undefined if it ends without. */
  readonly said: Promise<string | undefined>
  readonly exit: Exit | undefined
  /**
   * `closed`: the guest has closed its channel, and all it said was passed on; `quiet`: it has ended, and what it left behind says nothing; `broken`: the connection ended first.
   * Rejects with what `output` throws.
   */
  readonly ended: Promise<'closed' | 'quiet' | 'broken'>
  /** From now on what comes is taken, but dropped. */
  leave(): void
}

/** What a command left in the background may hold its output for so long after its end, if it says nothing. */
const afterlifeMs = 1000

export function hearing({ tty, output }: Pick<ExecOptions, 'tty' | 'output'>, { mark, login, world }: { mark: string; login: Pick<Login, 'ask' | 'over'>; world: World }): Hearing {
  const line = header(mark)
  const left = new AbortController()
  const { promise: ended, resolve: end, reject: breakOff } = Promise.withResolvers<'closed' | 'quiet' | 'broken'>()
  ended.catch(() => undefined)
  line.said.catch(breakOff)
  const said = Promise.race([line.said, ended.then(() => undefined)])
  said.catch(() => undefined)
  let exit: Exit | undefined
  let lastHeard = world.ticks()
  let holding = 0

  const read = async (name: 'stdout' | 'stderr', from: Readable) => {
    const hasLine = name === (tty ? 'stdout' : 'stderr')
    // Destroyed at the end of its output, as is usual, a channel would be closed before Dropbear says how the command ended.
    for await (const piece of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      lastHeard = world.ticks()
      const own = hasLine ? line.take(piece) : piece
      if (!own || own.length === 0 || left.signal.aborted) continue
      holding++
      try {
        await heldBack(output(name, own), left.signal)
      } catch (fault) {
        breakOff(fault)
        left.abort() // The rest is taken: a channel that is not read to its end is not known to be closed.
      }
      holding--
      lastHeard = world.ticks()
    }
  }
  const watchAfterlife = async (unread: () => number) => {
    while (!left.signal.aborted) {
      const before = lastHeard
      await world.sleep(holding > 0 ? afterlifeMs : Math.max(10, afterlifeMs - (world.ticks() - lastHeard)), left.signal)
      if (lastHeard !== before || holding > 0) continue
      // A busy server is quiet too. When it answers, it has read what the command had said before; when it answers once more, it has sent that.
      await login.ask()
      await login.ask()
      await world.breathe()
      if (lastHeard === before && holding === 0 && unread() === 0) return end('quiet')
    }
  }

  return {
    said,
    ended,
    get exit() {
      return exit
    },
    begin(channel) {
      const unread = () => channel.readableLength + channel.stderr.readableLength
      const hearExit = (code?: number | null, signal?: string) => {
        if (exit || code === undefined) return
        exit = code === null ? { signal: nameOf(signal) } : { code }
        // OpenSSH may tell the end before it has read the last of the output: the quiet counts from here.
        lastHeard = world.ticks()
        watchAfterlife(unread).catch(() => undefined) // Nobody listens any more, or the connection is broken and the channel closed by that.
      }
      const reads = Promise.all([read('stdout', channel), read('stderr', channel.stderr)])
      reads.catch(breakOff)
      channel.on('exit', hearExit)
      channel.on('close', (code?: number | null, signal?: string) => {
        hearExit(code, signal)
        // The library closes what a broken connection leaves open; how much of the output was lost nobody knows, though the end was told before.
        if (login.over) end('broken')
        else reads.then(() => end('closed')).catch(() => undefined)
      })
    },
    leave: () => left.abort(),
  }
}

/** OpenSSH tells few signals by name, and of the others that there was one; the text is the guest's. */
const nameOf = (signal = ''): string => (/^SIG[A-Z0-9+]{1,20}$/.test(signal) ? signal : 'SIGUNKNOWN')

/** Waits for a reader that takes its time, unless nobody listens any more. */
async function heldBack(taking: void | Promise<void>, left: AbortSignal): Promise<void> {
  if (!taking) return
  const { promise: gone, resolve } = Promise.withResolvers<void>()
  const leave = () => resolve()
  left.addEventListener('abort', leave, { once: true })
  taking.catch(() => undefined)
  await Promise.race([taking, gone]).finally(() => left.removeEventListener('abort', leave))
}
