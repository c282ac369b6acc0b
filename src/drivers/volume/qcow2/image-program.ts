import { statSync } from 'node:fs'
import type { Call } from '../../../model/call.ts'
import { fail } from '../../../model/errors.ts'
import { quietly } from '../keeping.ts'

/**
 * Runs `qemu-img` on a volume with the rights of the volume's owner: a guest that has broken out of its QEMU can have written anything into its
 * volume, the name of another file to read among it. `output` is open for writing and is `/dev/fd/3`.
 */
export async function imageProgram(volume: string, args: string[], { output, call }: { output?: number; call?: Call } = {}): Promise<void> {
  const owner = statSync(volume).uid
  const user = process.getuid?.() === 0 && owner !== 0 ? { uid: owner, gid: owner } : undefined
  const { code, signal, stderr } = await quietly(['qemu-img', ...args], { user, output, call })
  if (code === 0) return
  const words = stderr.trim().split('\n').slice(-2).join('; ').slice(0, 500)
  fail('failed', `qemu-img ${args[0]} of ${volume} ended with ${code ?? signal}${words === '' ? '' : `: ${words}`}`)
}
