import type { ClientChannel } from 'ssh2'
import { deadline, type World } from '../../../base/world.ts'
import { fail, TtError } from '../../../model/errors.ts'
import { posix } from '../shell-text.ts'
import { within } from '../within.ts'
import type { Login } from './login.ts'

/** Sixteen megabytes, to a guest whose processor is emulated. */
const patienceMs = 120_000
/** In the guest: the text is kept only if all of it came and we then say so; a connection that breaks or is closed leaves nothing. */
const taking = (bytes: number) =>
  posix(`umask 077; f=$(mktemp "\${TMPDIR:-/tmp}/.tt-XXXXXXXX") || exit 1; head -c ${bytes} >"$f"; [ $(wc -c <"$f") -eq ${bytes} ] && echo "$f" && read -r x && [ "$x" = keep ] && exit 0; rm -f "$f"; exit 1`)

/** Puts a text into a file of the guest that only root can read; gives its path, or has it forgotten. One that is cut short ends at once. */
export async function carried(login: Login, text: string, { world, signals, forget }: { world: World; signals: (AbortSignal | undefined)[]; forget: (path: string) => void }): Promise<string> {
  const { promise: closed, resolve: setClosed } = Promise.withResolvers<void>()
  const opening = login.exec(taking(Buffer.byteLength(text)), { begun: (channel) => channel.once('close', () => setClosed()) })
  let path: string | undefined
  const carry = async () => {
    const channel = await opening
    channel.stderr.resume()
    channel.write(text)
    path = await named(channel)
    if (login.over) throw broken()
    if (path === undefined) fail('failed', 'the guest has no room for a long command in its directory of temporary files')
    channel.end('keep\n')
    channel.resume()
    await closed
    if (login.over) throw broken()
    return path
  }
  using limit = deadline(world, patienceMs, undefined, new TtError({ code: 'timeout', message: `the guest did not take the text of a long command within ${patienceMs / 1000} s` }))
  try {
    return await within(carry(), ...signals, limit.signal)
  } catch (thrown) {
    opening.then(drop).catch(() => undefined)
    if (path !== undefined) forget(path)
    throw thrown
  }
}

const broken = () => new TtError({ code: 'unavailable', message: 'the connection to the guest broke before the command was begun' })

/** The path the guest says, whatever its login shell said before; undefined if it ends without. */
async function named(channel: ClientChannel): Promise<string | undefined> {
  let said = ''
  for await (const piece of channel.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    said = (said + piece.toString('latin1')).slice(-4096)
    const [, path] = /(?:^|\n)(\/[\w./+@%=-]*\.tt-\w{8})\r?\n/.exec(said) ?? []
    if (path !== undefined) return path
  }
  return undefined
}

function drop(channel: ClientChannel): void {
  channel.close()
  channel.destroy()
}
