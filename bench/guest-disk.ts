import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cloud } from '../src/model/cloud.ts'
import { errorOf } from '../src/model/errors.ts'
import type { Command, Session } from '../src/model/session.ts'
import type { Channel } from '../src/drivers/channel/channel.ts'
import { bareMachine } from './bare-guest.ts'
import { type Bench, type Ground, roundsOf } from './bench.ts'
import { makeEnv } from './env.ts'
import { ratioFinding } from './finding.ts'
import { root } from './machine.ts'
import { inPairs } from './measure.ts'
import { startServer } from './server.ts'

const program = '/run/disk-work'
const fileMb = 64
/** So that each work takes a tenth of a second at least: the server's own work for a command, at its beginning, is not what is measured. */
const passes = 16
const places = 2000

/** What is done in each guest, by arguments of disk-work. The first makes the file the others work on. */
const works = [
  { name: 'written in order', args: ['write', '/data', String(fileMb), String(passes)] },
  { name: 'read in order', args: ['read', '/data', String(fileMb), String(passes)] },
  { name: 'written at random', args: ['randwrite', '/data', String(fileMb), String(places)] },
  { name: 'read at random', args: ['randread', '/data', String(fileMb), String(places)] },
]

/** A guest's disk with a server around it, against QEMU alone with the same arguments on a disk made by qemu-img. Time is the guest's own. */
export const guestDisk: Bench = {
  name: 'guest-disk',
  about: "a guest's disk, in order and at random, against bare QEMU on a disk of qemu-img's",
  async run(ground) {
    const binary = built(ground)
    await using server = await startServer(ground)
    await using bare = await bareMachine(ground, { qemuImg: true })
    await using twin = await bare.prepare()
    const raw = twin.start()
    await makeEnv(server.cloud, 'disk', [{ image: 'micro', count: 1 }])
    const sides = { ours: (command: Command, stdin?: Uint8Array) => overApi(server.cloud, command, stdin), peer: (command: Command, stdin?: Uint8Array) => byChannel(raw, command, stdin) }
    for (const run of Object.values(sides)) {
      await run({ shell: `cat >${program} && chmod 700 ${program}` }, binary)
      // The last thing a guest does after its boot.
      await run({ shell: 'for at in $(seq 600); do [ -s /run/dropbear.pid ] && exit 0; sleep 0.1; done; exit 1' })
    }
    const findings = []
    for (const { name, args } of works) {
      const work = (run: (typeof sides)['ours']) => async () => Number(await run({ argv: [program, ...args] }))
      const { ours, peer } = await inPairs(ground, { ours: work(sides.ours), peer: work(sides.peer) }, { rounds: roundsOf(ground, 24), warmUps: 2 })
      const what = args[0]?.startsWith('rand') ? `${places} times 4 KiB` : `${passes} times ${fileMb} MiB`
      findings.push(ratioFinding({ name: `guest disk, ${name}`, better: 'more', step: 0.9, goal: 0.95 }, { what: `${what}, in a VM of the server`, unit: 'ms', samples: ours }, { what: 'the same in bare QEMU', unit: 'ms', samples: peer }))
    }
    return findings
  },
}

function built(ground: Ground): Uint8Array {
  const out = join(ground.dir, 'disk-work')
  execFileSync('gcc', ['-O2', '-static', '-o', out, join(root, 'bench/disk-work.c')])
  return readFileSync(out)
}

async function overApi(cloud: Cloud, command: Command, stdin?: Uint8Array): Promise<string> {
  await using session = await cloud.open({ type: 'exec', vms: { envs: ['disk'] }, command, ...(stdin ? { stdin: true } : {}) })
  const fed = stdin && feed(session, stdin)
  let said = ''
  for await (const frame of session.output) {
    if (frame.type === 'problem') throw errorOf(frame.problem)
    if (frame.type === 'stdout' || frame.type === 'stderr') said += Buffer.from(frame.data).toString()
    if (frame.type === 'exit' && frame.code !== 0) throw new Error(`the guest said ${frame.code ?? frame.signal}: ${said}`)
  }
  await fed
  return said
}

/** A command that ends before it has read everything closes its input; its exit tells. */
async function feed(session: Session, bytes: Uint8Array): Promise<void> {
  const writer = session.input.getWriter()
  try {
    for (let at = 0; at < bytes.length; at += 65_536) await writer.write({ type: 'stdin', data: bytes.subarray(at, at + 65_536) })
    await writer.write({ type: 'eof' })
  } catch {
    return
  }
}

async function byChannel(channel: Channel, command: Command, stdin?: Uint8Array): Promise<string> {
  let said = ''
  const pieces = stdin && (async function* () { yield stdin })() // prettier-ignore
  const { code } = await channel.exec(command, { output: (_stream, bytes) => void (said += Buffer.from(bytes).toString()), ...(pieces ? { stdin: pieces } : {}) }, { signal: AbortSignal.timeout(120_000) })
  if (code !== 0) throw new Error(`the guest said ${code}: ${said}`)
  return said
}
