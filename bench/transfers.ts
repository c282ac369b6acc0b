import { createHash, randomFillSync } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Bench, roundsOf } from './bench.ts'
import { wholeProcess } from './command.ts'
import { makeEnv } from './env.ts'
import { ratioFinding } from './finding.ts'
import { root } from './machine.ts'
import { inPairs } from './measure.ts'
import { opensshPort, startOpenssh } from './openssh.ts'
import { startServer } from './server.ts'
import { sshInto } from './ssh.ts'

const megabytes = 64

/** A file into a guest and out of it: whole commands, each with its checks, as people type them. */
export const transfers: Bench = {
  name: 'transfers',
  about: `${megabytes} MB pushed and fetched by tt, against scp to OpenSSH in the same guest`,
  async run(ground) {
    await using server = await startServer(ground)
    const { cloud, env } = server
    await makeEnv(cloud, 'files', [{ image: 'micro', count: 1, cpu: 2, memMb: 512 }])
    const [vm] = (await cloud.collection('vm').list({ under: 'files' })).items
    const ip = vm?.status?.ip ?? ''
    await startOpenssh(cloud, 'files')
    using openssh = await sshInto(ground, { cloud, env: 'files', ip, port: opensshPort })

    const file = join(ground.dir, 'transferred')
    const back = join(ground.dir, 'fetched')
    const bytes = randomFillSync(Buffer.alloc(megabytes * 2 ** 20))
    const tt = join(root, 'tt')
    const rounds = roundsOf(ground, 8)
    // A push of what is there already is none: the file is another one each time.
    const push = await inPairs(
      ground,
      {
        async ours(round) {
          bytes.writeInt32LE(round)
          writeFileSync(file, bytes)
          return wholeProcess([tt, 'env', 'push', 'files', '-f', file, '--to', '/tmp/a', '--overwrite', '-t', '120'], env)
        },
        peer: () => wholeProcess(openssh.push(file, '/tmp/b'), openssh.env),
      },
      { rounds },
    )
    writeFileSync(file, bytes.fill(7))
    const known = digestOf(bytes)
    await wholeProcess([tt, 'env', 'push', 'files', '-f', file, '--to', '/tmp/c', '-t', '120'], env)
    const get = await inPairs(
      ground,
      {
        ours: () => fetchedAs(known, back, () => wholeProcess([tt, 'env', 'get', 'files', '-f', '/tmp/c', '--to', back, '-t', '120'], env)),
        peer: () => fetchedAs(known, back, () => wholeProcess(openssh.get('/tmp/c', back), openssh.env)),
      },
      { rounds },
    )
    const what = (verb: string) => ({ what: `${verb}, whole process, ${megabytes} MB`, unit: 'ms' as const })
    return [
      ratioFinding({ name: `push ${megabytes} MB to scp`, better: 'more', step: 5, goal: 10 }, { ...what('tt env push'), samples: push.ours }, { ...what('scp to OpenSSH'), samples: push.peer }),
      ratioFinding({ name: `get ${megabytes} MB to scp`, better: 'more', step: 5, goal: 10 }, { ...what('tt env get'), samples: get.ours }, { ...what('scp from OpenSSH'), samples: get.peer }),
    ]
  },
}

async function fetchedAs(digest: string, file: string, fetch: () => Promise<number>): Promise<number> {
  rmSync(file, { force: true })
  const took = await fetch()
  if (digestOf(readFileSync(file)) !== digest) throw new Error('something else was fetched')
  return took
}

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
