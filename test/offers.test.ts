import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cacheDir } from '../src/bin/paths.ts'
import { envGround, type EnvGround } from './env-ground.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Few of everything, all of it exact. */
const small = ['--engine', 'fake', '--cpu-total', '7', '--mem-total', '1111', '--disk-total', '22222', '--vms-max', '5']

describe('what a host offers', { timeout: 60_000 }, () => {
  let ground: EnvGround
  before(async () => void (ground = await envGround(small)))
  after(async () => ground[Symbol.asyncDispose]())

  it('D01: a host offers what its operator says, to the last MB', async () => {
    const { hosts } = (await ground.json('status', '--server')) as { hosts: { total: object }[] }
    assert.deepEqual(hosts[0]?.total, { cpu: 7, memMb: 1111, diskMb: 22_222, vms: 5 })
    assert.match((await ground.tt('env', 'add', 'much', '-s', 'fake:micro', '-M', '1112')).stderr, /1\.1 GB/)
    await ground.does('env', 'add', 'all', '-s', 'fake:micro', '-M', '1111', '-D', '22222', '-C', '7')
    assert.deepEqual(await ground.used(), { cpu: 7, memMb: 1111, diskMb: 22_222, vms: 1 })
    await ground.does('env', 'del', 'all')
  })

  it('M03: an ENV that names a host is claimed by that host only, and one that names no host there is is refused', async () => {
    const { hosts } = (await ground.json('status', '--server')) as { hosts: { name: string }[] }
    await ground.does('env', 'add', 'pinned', '-s', 'fake:micro', '--host', hosts[0]?.name ?? '')
    const said = await ground.tt('env', 'add', 'lost', '-s', 'fake:micro', '--host', 'nowhere')
    assert.deepEqual([said.code, /there is no host "nowhere"/.test(said.stderr)], [6, true])
    await ground.does('env', 'del', 'pinned')
  })

  it('M01: what is wished away is taken away by its host, and what is wished for comes, without anybody asking the host', async () => {
    await ground.does('env', 'add', 'wish', '-s', 'fake:micro', '-d', '2', '--no-wait')
    await ground.does('env', 'update', 'wish', '--count', 'fake:micro=1')
    assert.equal((await ground.env('wish')).vms.length, 1)
    await ground.does('env', 'del', 'wish')
    assert.deepEqual(await ground.used(), { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
  })

  it('[F09 F10] a stopped ENV and an empty command are refused, with what to do', async () => {
    await ground.does('env', 'add', 'calm', '-s', 'fake:micro')
    await ground.does('env', 'stop', 'calm')
    const stopped = await ground.tt('env', 'run', 'calm', '--cmd', 'true')
    assert.deepEqual([stopped.code, /ENV calm is stopped/.test(stopped.stderr), /tt env start calm/.test(stopped.stderr)], [13, true, true])
    const empty = await ground.tt('env', 'run', 'calm', '--cmd', '')
    assert.equal(empty.code, 2)
    await ground.does('env', 'del', 'calm')
  })

  it('a kept disk is an image until it is deleted, and no other image can be', async () => {
    await ground.does('env', 'add', 'keep', '-s', 'fake:micro', '-D', '300')
    await ground.does('env', 'del', 'keep', '--keep-disks')
    const names = async () => ((await ground.json('image', 'list')) as { images: { name: string }[] }).images.map(({ name }) => name).filter((name) => name.startsWith('kept/'))
    const [name = ''] = await names()
    assert.match(name, /^kept\/keep\/0-/)
    assert.equal((await ground.used()).diskMb, 300, 'a kept disk takes room')
    assert.equal((await ground.tt('env', 'add', 'more', '-s', 'fake:micro', '-D', '22000')).code, 11)
    assert.match((await ground.tt('image', 'del', 'fake:micro')).stderr, /neither imported nor kept from a disk/)
    assert.match((await ground.does('image', 'del', name)).stdout, /deleted/)
    assert.deepEqual(await names(), [])
    assert.equal((await ground.tt('image', 'del', name)).code, 6)
  })

  it('[H09] everything but the guests is real without KVM and with no right but to write its directory: no device, no address and no rule is made', async () => {
    const { hosts } = (await ground.json('status', '--server')) as { hosts: { engines: { name: string }[]; network: string; volume: string }[] }
    assert.deepEqual([hosts[0]?.engines.map(({ name }) => name), hosts[0]?.network, hosts[0]?.volume], [['fake'], 'fake', 'fake'])
  })
})

it('L10: what a recipe made is listed with the sha256 of each of its files, and they are those of the files', () => {
  for (const name of ['micro', 'demo-os']) {
    const dir = join(cacheDir(process.env), name)
    const manifest = JSON.parse(readFileSync(join(dir, 'image.json'), 'utf8')) as Record<'kernel' | 'initrd' | 'disk', { file: string; sha256: string } | undefined> & { name: string; recipe: string }
    assert.equal(manifest.name, name)
    assert.match(manifest.recipe, /^[0-9a-f]{64}$/)
    const files = [manifest.kernel, manifest.initrd, manifest.disk].filter((one) => one !== undefined)
    assert.ok(files.length > 0)
    for (const { file, sha256 } of files) assert.equal(createHash('sha256').update(readFileSync(join(dir, file))).digest('hex'), sha256, `${name}/${file}`)
  }
})

it('a server that cannot listen says so before it makes anything on the machine', async () => {
  const { createServer } = await import('node:net')
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { port: number }
  const dir = mkdtempSync(join(tmpdir(), 'tt-taken-'))
  try {
    const said = spawnSync(join(root, 'ttserver'), ['--serv-port', String(port), '--data-dir', join(dir, 'data'), '--engine', 'fake'], { encoding: 'utf8', timeout: 30_000 })
    assert.deepEqual([said.status, /another program listens there/.test(said.stderr)], [14, true], said.stderr)
    assert.deepEqual([existsSync(join(dir, 'data/engine')), existsSync(join(dir, 'data/place.json'))], [false, false])
  } finally {
    rmSync(dir, { recursive: true, force: true })
    taken.close()
  }
})
