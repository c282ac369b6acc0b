import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Said, serverGround, type ServerGround } from './e2e/ground.ts'

/** A server on the fake engine with some images that need nothing, and the client beside it. */
export interface EnvGround extends ServerGround {
  /** As `tt`, and it must go well. */
  does(...args: string[]): Promise<Said>
  env(name: string): Promise<EnvAnswer>
  /** Cpus, MB and VMs that the host counts as used. */
  used(): Promise<{ cpu: number; memMb: number; diskMb: number; vms: number }>
}

export interface VmAnswer {
  id: string
  name: string
  index: number
  image: string
  state: string
  ip: string
  ports: Record<string, number>
  cpu: number
  memMb: number
  diskMb: number
  denyOutgoing: boolean
  deny: string[]
}

export interface EnvAnswer {
  name: string
  uid: string
  owner: string
  created: string
  expires: string | null
  endsSoon: boolean
  phase: string
  stopped: boolean
  count: number
  ready: number
  vms: VmAnswer[]
}

const roomy = ['--engine', 'fake', '--cpu-total', '1000', '--mem-total', '200000', '--disk-total', '4000000']

export async function envGround(flags: readonly string[] = roomy): Promise<EnvGround> {
  const images = mkdtempSync(join(tmpdir(), 'tt-images-'))
  for (const name of ['centos-7.1', 'centos-7.2', 'ubuntu2004', 'ubuntu1804', 'ubuntu1804-gui']) imageAt(images, name, { defaults: { cpu: 1, memMb: 128, diskMb: 256 } })
  imageAt(images, 'plain', { boot: 'disk', disk: { file: 'content', sha256: digest, format: 'raw', sizeBytes: content.length } })
  const ground = serverGround([...flags, '--image-path', images])
  await ground.start()
  await listed(ground, 7)
  const does = async (...args: string[]) => {
    const said = await ground.tt(...args)
    assert.equal(said.code, 0, `tt ${args.join(' ')}: ${said.stderr}`)
    return said
  }
  return {
    ...ground,
    does,
    async env(name) {
      const { envs } = (await ground.json('env', 'show', name)) as { envs: EnvAnswer[] }
      return envs[0] ?? assert.fail(`${name} is not shown`)
    },
    async used() {
      const { hosts } = (await ground.json('status', '--server')) as { hosts: { used: { cpu: number; memMb: number; diskMb: number; vms: number } }[] }
      return hosts[0]?.used ?? assert.fail('there is no host')
    },
    async [Symbol.asyncDispose]() {
      await ground[Symbol.asyncDispose]()
      rmSync(images, { recursive: true })
    },
  }
}

/** An image is taken for one when its files have not changed for a moment. */
async function listed(ground: ServerGround, count: number): Promise<void> {
  for (const end = Date.now() + 20_000; ((await ground.json('image', 'list')) as { images: unknown[] }).images.length < count; ) {
    assert.ok(Date.now() < end, `the server does not list ${count} images: ${ground.log().slice(-1000)}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

const content = Buffer.alloc(1 << 20)
const digest = createHash('sha256').update(content).digest('hex')

function imageAt(images: string, name: string, more: object): void {
  const dir = join(images, name)
  mkdirSync(dir)
  writeFileSync(join(dir, 'content'), content)
  const manifest = { format: 1, name, engines: ['fake'], boot: 'kernel', kernel: { file: 'content', sha256: digest }, ...more }
  writeFileSync(join(dir, 'image.json'), JSON.stringify({ ...manifest, ...('disk' in more ? { kernel: undefined } : {}) }))
}

/** The first line of what went wrong. */
export const firstLine = ({ stderr }: Said): string => stderr.split('\n')[0] ?? ''
