import { TtError } from '../../../model/errors.ts'
import type { Channel, ChannelFactory } from '../channel.ts'
import { connection } from './connection.ts'
import { execute, isRefusedStart } from './execution.ts'
import { sshFiles } from './files.ts'
import { sftpOver } from './sftp.ts'
import { shellTextOf } from '../shell-text.ts'
import { within } from '../within.ts'
import { isFull, type Login } from './login.ts'

const mostTries = 6

/** The channel to a server of ssh in the guest: everything over one connection, which is made anew when it breaks. */
export const ssh: ChannelFactory = (guest): Channel => {
  const { world } = guest
  const link = connection(guest)
  const running = new Set<Promise<unknown>>()
  const exec: Channel['exec'] = async (command, options, call) => {
    shellTextOf(command, { ...options, mark: '', headerTo: 'stderr' }) // What cannot be is refused before anything is waited for.
    for (let tries = 1; ; tries++) {
      const login = await link.take(call)
      const work = execute(command, options, { login, world, closed: link.closed, aside: (text, how) => aside(login, text, how), call })
      running.add(work)
      try {
        return await work
      } catch (thrown) {
        if (tries === mostTries || !(thrown instanceof TtError) || thrown.code !== 'unavailable' || !isRefusedStart(thrown)) throw thrown
        // Refused before it was begun, by a connection that takes none any more or no more than it has: over another it may be.
        if (isFull(thrown.cause)) link.full(login)
        else if (!login.worn && !login.over) throw thrown
      } finally {
        running.delete(work)
        link.giveBack(login)
      }
    }
  }
  /** Over another connection where that one has no room, as one that carries a single command at a time. */
  const aside = async (login: Login, text: string, { later = false } = {}) => {
    const elsewhere = await login.aside(text).then(
      () => false,
      (fault: unknown) => isFull(fault) || (later && login.over) || Promise.reject(fault),
    )
    if (!elsewhere) return
    const other = await link.take()
    await other.aside(text).finally(() => link.giveBack(other))
  }
  return {
    features: { tty: true, stdin: true, signals: true, files: true, identity: false, beats: false },
    closed: link.closed,
    ready: async (call) => void (await link.ready(call)),
    broken: link.broken,
    async ping(call) {
      const login = await link.ready(call)
      await within(login.ask(), call?.signal)
    },
    exec,
    files: sshFiles({
      world,
      sftp: (call) => sftpOver(link, call),
      async run(argv, call) {
        let stdout = ''
        const exit = await exec({ argv }, { output: (stream, bytes) => void (stdout = stream === 'stdout' ? (stdout + Buffer.from(bytes).toString('latin1')).slice(0, 4096) : stdout) }, call)
        return { stdout, exit }
      },
    }),
    async [Symbol.asyncDispose]() {
      const ending = Promise.allSettled(running)
      link.close()
      await ending // Each ends its command in the guest first.
      await link[Symbol.asyncDispose]()
    },
  }
}
