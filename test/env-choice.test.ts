import assert from 'node:assert/strict'
import { after, before, describe, it, test } from 'node:test'
import { type EnvGround, envGround, firstLine } from './env-ground.ts'

describe('which VMs an ENV gets, and of what size', () => {
  let ground: EnvGround
  before(async () => {
    ground = await envGround()
  })
  after(() => ground[Symbol.asyncDispose]())

  let made = 0
  /** The VMs of a new ENV with these flags. */
  const vmsOf = async (...flags: string[]) => {
    const name = `e${made++}`
    await ground.does('env', 'add', name, ...flags)
    const { vms } = await ground.env(name)
    await ground.does('env', 'del', name)
    return vms
  }
  const imagesOf = async (...flags: string[]) => (await vmsOf(...flags)).map(({ image }) => image)
  const refused = async (...flags: string[]) => {
    const said = await ground.tt('env', 'add', 'refused', ...flags)
    assert.notEqual(said.code, 0)
    return `${said.code} ${firstLine(said)}`
  }

  it('C01: a prefix is matched without regard to case, with or without the engine', async () => {
    for (const prefix of ['micro', 'MIC', 'fake:mic', 'FAKE:micro']) assert.deepEqual(await imagesOf('-s', prefix), ['fake:micro'], prefix)
    assert.deepEqual(await imagesOf('-s', 'CentOS'), ['centos-7.1', 'centos-7.2'])
  })

  it('C02: a precise prefix matches the one image that begins so', async () => assert.deepEqual(await imagesOf('-s', 'ubuntu2004'), ['ubuntu2004']))

  it('C03: two prefixes that match one image make it once', async () => {
    assert.deepEqual(await imagesOf('-s', 'centos-7.1,centos-7.2,cent'), ['centos-7.1', 'centos-7.2'])
    assert.deepEqual(await imagesOf('-s', 'micro', '-s', 'fake:'), ['fake:micro'])
  })

  it('C04: fault 1: a prefix without match is an error that names it, also beside one that matches', async () => {
    assert.match(await refused('-s', 'micro,windows'), /^6 tt: .*no image begins with "windows"/)
    assert.deepEqual((await ground.json('env', 'list')) as object, { envs: [], missing: [] })
  })

  it('C05: an empty prefix is refused', async () => assert.match(await refused('-s', ''), /^2 tt: --os-prefix is "", allowed is a prefix that is not empty/))

  it('C06: a file names exact images, and a longer name is not made with them', async () => {
    const file = `name: exact\ngroups:\n  - image: ubuntu1804\n`
    assert.deepEqual(await imagesOf('-s', 'ubuntu1804'), ['ubuntu1804', 'ubuntu1804-gui'])
    const { writeFileSync } = await import('node:fs')
    writeFileSync(`${ground.dir}/exact.yaml`, file)
    await ground.does('env', 'apply', '-f', `${ground.dir}/exact.yaml`, '--yes')
    assert.deepEqual((await ground.env('exact')).vms.map(({ image }) => image), ['ubuntu1804'])
    await ground.does('env', 'del', 'exact')
  })

  it('C07: --dup-each N makes N more of each', async () => {
    assert.deepEqual(await imagesOf('-s', 'centos', '-d', '2'), ['centos-7.1', 'centos-7.1', 'centos-7.1', 'centos-7.2', 'centos-7.2', 'centos-7.2'])
    assert.equal((await imagesOf('-s', 'micro', '-d', '0')).length, 1)
  })

  it('C08: fault 26: too many copies are refused by the server, not made fewer', async () => {
    assert.match(await refused('-s', 'micro', '-d', '10001'), /^2 tt: .*the number of copies is 10001, allowed is 0 to 10000/)
  })

  it('C09: 2 cpus, 1024 MB and 40960 MB of disk, where neither flags nor image say', async () => {
    const [plain] = await vmsOf('-s', 'plain')
    assert.deepEqual([plain?.cpu, plain?.memMb, plain?.diskMb], [2, 1024, 40_960])
  })

  it('C10: fault 26: sizes out of bounds are refused with the bound, not clamped', async () => {
    assert.match(await refused('-s', 'micro', '-C', '13'), /^2 tt: .*cpu is 13, allowed is 1 to 12/)
    assert.match(await refused('-s', 'micro', '-M', '99'), /^2 tt: .*memory is 99, allowed is at least 100 MB/)
    assert.match(await refused('-s', 'micro', '-D', '99'), /^2 tt: .*disk is 99, allowed is at least 100 MB/)
    const [vm] = await vmsOf('-s', 'micro', '-C', '12', '-M', '100', '-D', '100')
    assert.deepEqual([vm?.cpu, vm?.memMb, vm?.diskMb], [12, 100, 100])
  })

  it('M05: a flavor by name or number gives the sizes, and sizes beside it count more', async () => {
    const sizes = async (...flags: string[]) => {
      const [vm] = await vmsOf('-s', 'micro', ...flags)
      return [vm?.cpu, vm?.memMb, vm?.diskMb]
    }
    for (const flavor of ['m1.medium', '3', 'M1.Medium']) assert.deepEqual(await sizes('--flavor', flavor), [2, 4096, 40_960], flavor)
    assert.deepEqual(await sizes('--flavor', 'd1'), [1, 512, 5120])
    assert.deepEqual(await sizes('--flavor', '42'), [1, 64, 1024], 'a disk of 0 is that of the image')
    assert.deepEqual(await sizes('--flavor', '2', '-C', '3', '-M', '256'), [3, 256, 20_480])
    assert.match(await refused('-s', 'micro', '--flavor', 'm1.huge'), /^2 tt: --flavor is "m1.huge", allowed is the name or number of a flavor/)
    assert.match((await ground.does('flavor', 'list')).stdout, /\n +84 +m1\.micro +1 +128 MB +-\n/)
  })

  it('what is asked about its end, its disks and what it may reach is kept', async () => {
    await ground.does('env', 'add', 'peer', '-s', 'micro')
    await ground.does('env', 'add', 'all', '-s', 'micro', '--at-end', 'stop', '--keep-image', '--deny', '10.0.0.0/8,192.0.2.1', '--peer', 'peer', '-n')
    assert.match((await ground.does('env', 'show', 'all')).stdout, /halts at its end, keeps its disks, no outgoing connections, may not reach 10\.0\.0\.0\/8 192\.0\.2\.1, talks with peer\n/)
    await ground.does('env', 'update', 'all', '--no-keep-disks', '--at-end', 'delete')
    await ground.does('env', 'del', 'all', 'peer')
  })

  it('an ENV whose disks are kept can be deleted without them, by --no-keep-disks', async () => {
    await ground.does('env', 'add', 'less', '-s', 'ubuntu2004', '--keep-disks')
    assert.match((await ground.tt('env', 'del', 'less', '--keep-disks', '--no-keep-disks')).stderr, /either --keep-disks or --no-keep-disks/)
    await ground.does('env', 'del', 'less', '--no-keep-disks')
    const { images } = (await ground.json('image', 'list')) as { images: { name: string }[] }
    assert.deepEqual(images.filter(({ name }) => name.startsWith('kept/less/')), [])
  })
})

const failing = ['--engine', 'fake', '--cpu-total', '16', '--mem-total', '4096', '--disk-total', '100000', '--drivers', JSON.stringify({ engine: { fake: { failStart: ['*.2'], bootMs: 1500 } } })]

test('an ENV comes as a whole or not at all, and waiting is a matter of choice', async (t) => {
  await using ground = await envGround(failing)

  await t.test('B04: if one VM cannot be made nothing stays, and each failure has its reason', async () => {
    const { code, stdout, stderr } = await ground.tt('env', 'add', 'bad', '-s', 'micro', '-d', '3', '-p', '80')
    assert.deepEqual([code, stdout], [12, ''])
    assert.match(stderr, /ENV bad has failed: 1 of 4 VMs could not be made \(failed\)\n.*tt env show bad.*\n {2}bad\.2: .*told not to start/s)
    for (const end = Date.now() + 10_000; (await ground.used()).vms > 0; ) assert.ok(Date.now() < end, 'what it took is not given back')
    assert.deepEqual(await ground.used(), { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
    assert.equal((await ground.tt('doctor', '--leaks')).code, 0)
    assert.match((await ground.does('env', 'show', 'bad')).stdout, /^bad: failed/)
    await ground.does('env', 'add', 'bad', '-s', 'micro')
    await ground.does('env', 'del', 'bad')
  })

  await t.test('F17: booting is told from failed, and can be waited for as long as one likes', async () => {
    assert.equal((await ground.does('env', 'add', 'slow', '-s', 'micro', '--no-wait')).stdout, 'slow: 1 VM being made\n')
    assert.match((await ground.does('env', 'show', 'slow')).stdout, /^slow: creating.*\n.*\n.*\nslow\.0 +fake:micro +booting/)
    const { envs } = (await ground.json('env', 'list')) as { envs: { task: string }[] }
    const task = envs[0]?.task ?? ''
    const late = await ground.tt('task', 'wait', task, '--time-out', '0.3')
    assert.deepEqual([late.code, /is not over after .*; it goes on/.test(late.stderr)], [15, true])
    assert.equal((await ground.does('task', 'wait', task)).stdout, `${task}: create slow is done\n`)
    assert.match((await ground.does('env', 'show', 'slow')).stdout, /^slow: ready, 1 of 1 VM ready/)
    const impatient = await ground.tt('env', 'add', 'slower', '-s', 'micro', '-t', '0.3')
    assert.deepEqual([impatient.code, firstLine(impatient)], [15, 'tt: ENV slower is not ready after 300 ms; it is still being made (timeout)'])
    assert.equal((await ground.tt('env', 'del', 'slow', 'slower')).code, 0)
  })

  await t.test('B12: fault 14: start is refused as a whole if there is no room any more, and so is what was never there', async () => {
    await ground.does('env', 'add', 'first', '-s', 'micro', '-d', '1', '-M', '1500')
    await ground.does('env', 'stop', 'first')
    await ground.does('env', 'add', 'second', '-s', 'micro', '-M', '3000')
    const before = [await ground.used(), await ground.env('first')]
    const refused = await ground.tt('env', 'start', 'first')
    assert.deepEqual([refused.code, /not enough memory: 4 GB in all, 2\.9 GB used by others, 2\.9 GB wanted/.test(refused.stderr)], [11, true], refused.stderr)
    assert.deepEqual([await ground.used(), await ground.env('first')], before)
    await ground.does('env', 'del', 'second')
    await ground.does('env', 'start', 'first')
  })

  await t.test('a task is shown, and what is being made can be taken back', async () => {
    await ground.does('env', 'add', 'undo', '-s', 'micro', '--no-wait')
    const { tasks } = (await ground.json('task', 'list', 'undo', '--state', 'running')) as { tasks: { id: string; verb: string; subject: string; limitSeconds: number }[] }
    const [task] = tasks
    assert.deepEqual([tasks.length, task?.verb, task?.subject, task?.limitSeconds], [1, 'create', 'env/undo', 600])
    const id = task?.id ?? ''
    assert.match((await ground.does('task', 'show', id)).stdout, /\n {2}does +create undo\n {2}state +running\n {2}VMs +0 of 1\n/)
    await ground.does('task', 'cancel', id)
    const waited = await ground.tt('task', 'wait', id)
    assert.deepEqual([waited.code, /the ENV was deleted \(cancelled\)/.test(waited.stderr)], [16, true], waited.stderr)
    assert.equal((await ground.does('task', 'cancel', id)).stdout, `${id}: is cancelled already\n`)
    assert.equal((await ground.tt('task', 'show', 'ffffffff')).code, 6)
    assert.equal((await ground.tt('task', 'wait', '../x')).code, 2)
  })
})
