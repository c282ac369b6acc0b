import { type Ran, run } from '../../base/run.ts'
import type { Call } from '../../model/call.ts'
import { fail } from '../../model/errors.ts'
import { noRoom } from './growth.ts'

export interface QuietOptions {
  user?: { uid: number; gid: number }
  /** Open for writing; `/dev/fd/3` to the program. */
  output?: number
  call?: Call
}

/** Runs a program that may take hours, behind everything else the machine does. A full disk is `exhausted`; how it ended otherwise is the caller's to judge. */
export async function quietly(argv: readonly [string, ...string[]], { user, output, call }: QuietOptions): Promise<Ran> {
  const signal = call?.signal
  const ran = await run(['nice', '-n', '19', 'ionice', '-c', '3', ...argv], { env, timeoutMs: 0, user, signal, fds: output === undefined ? [] : [output] }).catch((fault: unknown) => {
    throw signal?.aborted ? signal.reason : fault
  })
  if (/No space left on device|Disk quota exceeded/.test(ran.stderr)) noRoom(`the output of ${argv[0]}`, new Error(ran.stderr.slice(-300)))
  // Of nice and ionice: what they were to run is not there.
  if (ran.code === 127 || /failed to execute/.test(ran.stderr)) fail('unsupported', `${argv[0]} is not there, and this needs it`, { remedy: 'on Debian: apt-get install qemu-utils util-linux' })
  return ran
}

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
