import { createHash, randomFillSync } from 'node:crypto'
import type { Cloud } from '../src/model/cloud.ts'
import { errorOf } from '../src/model/errors.ts'
import type { SessionFrame, SessionInput } from '../src/model/session.ts'
import type { Bench } from './bench.ts'
import { makeEnv } from './env.ts'
import { amountFinding } from './finding.ts'
import { ticks } from './measure.ts'
import { startServer } from './server.ts'

const pieceBytes = 32 * 2 ** 20
/** Pieces of standard output, and of standard error: 1 GiB together, and neither as long as the other. */
const pieces = { stdout: 20, stderr: 12 }

/** Each piece is preceded by its number, so that no two places of a stream are alike. */
const command = `
told() { i=0; while [ $i -lt $1 ]; do echo $i; cat /root/piece; i=$((i+1)); done; }
told ${pieces.stdout} & told ${pieces.stderr} >&2 & wait`

/** Both outputs of a command at once, by digest of each. */
export const mixedOutput: Bench = {
  name: 'mixed-output',
  about: '1 GiB of standard output and standard error at once, checked by a digest of each',
  async run(ground) {
    await using server = await startServer(ground)
    const { cloud } = server
    await makeEnv(cloud, 'mixed', [{ image: 'micro', count: 1, cpu: 2 }])
    const piece = randomFillSync(Buffer.alloc(pieceBytes))
    await converse(cloud, { shell: 'cat >/root/piece' }, { stdin: piece })
    const rates: number[] = []
    for (let round = 0; round < (ground.quick ? 1 : 3); round++) {
      ground.signal.throwIfAborted()
      const digests = { stdout: createHash('sha256'), stderr: createHash('sha256') }
      const begun = ticks()
      await converse(cloud, { shell: command }, { hear: (stream, data) => digests[stream].update(data) })
      rates.push(((pieces.stdout + pieces.stderr) * 32) / ((ticks() - begun) / 1000))
      for (const stream of ['stdout', 'stderr'] as const) {
        const wanted = createHash('sha256')
        for (let number = 0; number < pieces[stream]; number++) wanted.update(`${number}\n`).update(piece)
        if (digests[stream].digest('hex') !== wanted.digest('hex')) throw new Error(`bytes of ${stream} were lost, changed or exchanged`)
      }
    }
    return [amountFinding({ name: '1 GiB of stdout and stderr, digests right', better: 'more' }, { what: 'over the API', unit: 'MiB/s', samples: rates })]
  },
}

async function converse(cloud: Cloud, command: { shell: string }, { stdin, hear }: { stdin?: Uint8Array; hear?: (stream: 'stdout' | 'stderr', data: Uint8Array) => void }): Promise<void> {
  await using session = await cloud.open({ type: 'exec', vms: { envs: ['mixed'] }, command, stdin: stdin !== undefined })
  const sent = stdin ? ReadableStream.from<SessionInput>([{ type: 'stdin', data: stdin }, { type: 'eof' }]).pipeTo(session.input) : undefined
  for await (const frame of session.output) check(frame, hear)
  await sent
}

function check(frame: SessionFrame, hear?: (stream: 'stdout' | 'stderr', data: Uint8Array) => void): void {
  if (frame.type === 'problem') throw errorOf(frame.problem)
  if (frame.type === 'stdout' || frame.type === 'stderr') hear?.(frame.type, frame.data)
  if (frame.type === 'exit' && frame.code !== 0) throw new Error(`the command said ${frame.code ?? frame.signal}`)
}
