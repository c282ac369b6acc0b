import { createHash, randomFillSync } from 'node:crypto'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cloud } from '../src/model/cloud.ts'
import { type Bench, type Ground, roundsOf } from './bench.ts'
import { wholeProcess } from './command.ts'
import { makeEnv, removeEnv } from './env.ts'
import { type Finding, ratioFinding } from './finding.ts'
import { root } from './machine.ts'
import { inPairs } from './measure.ts'
import { microImage } from './micro-image.ts'
import { opensshPort, startOpenssh } from './openssh.ts'
import { type Server, startServer } from './server.ts'
import { sshInto } from './ssh.ts'

const megabytes = 64

/**
 * A file into a guest and out of it: whole commands, each with its checks, as people type them. Both in our guests, and in one whose processor is the one QEMU gives by itself (`max`):
 * there an emulated guest copies byte by byte, and scp and we are both several times slower.
 */
export const transfers: Bench = {
  name: 'transfers',
  about: `${megabytes} MB pushed and fetched by tt, against scp to OpenSSH in the same guest`,
  async run(ground) {
    const images = stockImage(ground)
    await using server = await startServer(ground, { flags: ['--image-path', images] })
    return [...(await measured(ground, server, { image: 'micro', name: 'our guest' })), ...(await measured(ground, server, { image: 'micro-stock', name: 'a guest with QEMU\'s own processor' }))]
  },
}

/** The image as it is, but for its processor. */
function stockImage({ dir }: Ground): string {
  const images = join(dir, 'images')
  const { kernel } = microImage()
  cpSync(dirname(kernel), join(images, 'micro-stock'), { recursive: true })
  const file = join(images, 'micro-stock', 'image.json')
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { options?: object }
  writeFileSync(file, JSON.stringify({ ...manifest, name: 'micro-stock', options: { ...manifest.options, cpuModel: 'max' } }))
  return images
}

/** The guest has as many processors as the image has by itself. */
async function measured(ground: Ground, { cloud, env }: Server, { image, name }: { image: string; name: string }): Promise<Finding[]> {
  await listed(cloud, image)
  await makeEnv(cloud, 'files', [{ image, count: 1, memMb: 512 }])
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
        // Of another size: a guest that has a file of the very size would be asked first whether it is the same.
        bytes.writeInt32LE(round)
        writeFileSync(file, bytes.subarray(0, bytes.length - 1 - (round % 1000)))
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
  await removeEnv(cloud, 'files')
  const what = (verb: string) => ({ what: `${verb}, whole process, ${megabytes} MB`, unit: 'ms' as const })
  return [
    ratioFinding({ name: `push ${megabytes} MB to scp, ${name}`, better: 'more', step: 5, goal: 10 }, { ...what('tt env push'), samples: push.ours }, { ...what('scp to OpenSSH'), samples: push.peer }),
    ratioFinding({ name: `get ${megabytes} MB to scp, ${name}`, better: 'more', step: 5, goal: 10 }, { ...what('tt env get'), samples: get.ours }, { ...what('scp from OpenSSH'), samples: get.peer }),
  ]
}

/** An image counts once nothing has touched its files for a while. */
async function listed(cloud: Cloud, image: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await cloud.collection('image').list()).items.some(({ name }) => name === image)) return
    await sleep(100)
  }
  throw new Error(`the server does not find the image ${image}`)
}

async function fetchedAs(digest: string, file: string, fetch: () => Promise<number>): Promise<number> {
  rmSync(file, { force: true })
  const took = await fetch()
  if (digestOf(readFileSync(file)) !== digest) throw new Error('something else was fetched')
  return took
}

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
