import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { silentLog } from '../../src/base/log.ts'
import { realWorld } from '../../src/base/world.ts'
import { agentPort, type Channel } from '../../src/drivers/channel/channel.ts'
import { guestOf } from '../../src/drivers/channel/ground.ts'
import { rexec } from '../../src/drivers/channel/rexec/rexec.ts'
import type { Engine } from '../../src/drivers/engine/engine.ts'
import { testUid } from '../../src/drivers/engine/qemu/guests.ts'
import type { Disk, Plan } from '../../src/model/plan.ts'

/** The image `micro`, for tests of drivers that want a guest with an agent and no server around it. */
export interface MicroImage {
  base: Disk
  plan(id: string, disks: Disk[]): Plan
}

/** As it was built; or why there is none. */
export function microImage(): MicroImage | { why: string } {
  const build = join(import.meta.dirname, '../../images/build')
  let dir: string
  try {
    execFileSync('sh', [build, '--check', 'micro'], { stdio: 'ignore' })
    dir = execFileSync('sh', [build, 'micro'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch (fault) {
    return { why: `the image micro is not built (images/build micro): ${(fault as Error).message}` }
  }
  const { kernel, initrd, disk, cmdline } = JSON.parse(readFileSync(join(dir, 'image.json'), 'utf8')) as Record<'kernel' | 'initrd', { file: string }> & { disk: { file: string; sizeBytes: number }; cmdline: string }
  return {
    base: { path: join(dir, disk.file), format: 'raw', sizeBytes: disk.sizeBytes, readOnly: true },
    plan: (id, disks) => ({
      id,
      hostname: id.replace('.', '-'),
      cpu: 1,
      memMb: 128,
      arch: 'amd64',
      boot: 'kernel',
      files: { kernel: join(dir, kernel.file), initrd: join(dir, initrd.file) },
      cmdline,
      disks,
      nics: [],
      ports: [agentPort],
      uid: testUid,
      options: {},
    }),
  }
}

export interface Shell extends AsyncDisposable {
  channel: Channel
  /** Runs a script in the guest to its end. */
  run(script: string): Promise<{ code?: number; out: string }>
}

/** Waits for the guest's agent, and runs scripts by it. */
export async function shellOf(engine: Engine, id: string, limitMs = 60_000): Promise<Shell> {
  const channel = rexec(guestOf({ id, dial: () => engine.dial?.(id, agentPort) ?? Promise.reject(new Error('the engine cannot dial')), world: realWorld, log: silentLog }))
  await channel.ready({ signal: AbortSignal.timeout(limitMs) })
  return {
    channel,
    async run(script) {
      const pieces: Uint8Array[] = []
      const exit = await channel.exec({ argv: ['sh', '-c', script] }, { output: (_stream, piece) => void pieces.push(piece) }, { signal: AbortSignal.timeout(limitMs) })
      return { code: exit.code, out: Buffer.concat(pieces).toString().trim() }
    },
    [Symbol.asyncDispose]: () => channel[Symbol.asyncDispose](),
  }
}
