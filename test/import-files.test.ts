import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'
import { bootDisk, digestOf, disks, guestBytes, imported, MiB, mode, needing, onlyDisk, shelf } from './import-ground.ts'

process.umask(0o077) // As a server's is.
const needs = needing('qemu-img')
const asRoot = process.getuid?.() === 0

const uidOf = () => (asRoot ? 0x7e57 << 8 : undefined)

test('[L10 K05] disks of every format become images that VMs start from', needs, async (t) => {
  using made = disks()
  const whole = bootDisk()
  const formats = [
    ['raw', made.raw()],
    ['qcow2', made.as('qcow2')],
    ['qcow2 of version 2', made.as('qcow2', 'compat=0.10')],
    ['qcow2 with compression', made.as('qcow2', '-c')],
    ['vmdk', made.as('vmdk')],
    ['vmdk for streaming', made.as('vmdk', 'subformat=streamOptimized')],
    ['vdi', made.as('vdi')],
    ['vdi of a fixed size', made.as('vdi', 'static=on')],
  ] as const
  for (const [format, path] of formats) {
    await t.test(format, async () => {
      using home = temporaryDir('import')
      await using host = await fakeCloud({ dir: home.dir, host: { uidOf } })
      const bytes = readFileSync(path)
      const outcome = await imported(host.cloud, { name: 'mine', memo: 'a disk' }, bytes)
      assert.deepEqual([outcome.problem, outcome.built, outcome.wants], [undefined, ['one'], [0]])
      const disk = onlyDisk(home.dir)
      assert.equal(digestOf(readFileSync(disk.path)), disk.manifest.disk.sha256)
      assert.equal(execFileSync('qemu-img', ['info', '--output=json', disk.path], { encoding: 'utf8' }).includes('"format": "qcow2"'), true)
      assert.ok(guestBytes(disk.path).equals(whole), 'the guest sees other bytes')
      assert.ok(statSync(disk.path).size < 2 * MiB, 'what is empty takes no room')
      assert.deepEqual([mode(disk.path), mode(dirname(disk.path)), statSync(disk.path).uid], ['644', '711', process.getuid?.()])
      assert.deepEqual(shelf(home.dir).parts, [])
      const { spec } = await host.cloud.collection('image').get('mine')
      assert.deepEqual([spec.features, spec.arch, spec.memo, spec.removable], [['cloud-init'], 'amd64', 'a disk', true])

      await host.cloud.collection('env').put('demo', { spec: { groups: [{ image: 'mine' }] } })
      for (let tries = 0; (await host.cloud.collection('env').get('demo')).status?.phase !== 'ready'; tries++) {
        assert.ok(tries < 100, 'the ENV is not ready')
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      assert.deepEqual(await host.leaks(), [])
    })
  }
})

test('what an order says of an image is what the image says', needs, async () => {
  using home = temporaryDir('import')
  await using host = await fakeCloud({ dir: home.dir })
  assert.equal((await imported(host.cloud, { name: 'plain' }, bootDisk())).problem, undefined)
  assert.deepEqual((await host.cloud.collection('image').get('plain')).spec.ways, ['engine'], 'this engine needs no agent')
  const order = { name: 'lab.example/one:2', arch: 'arm64' as const, ways: [], features: [], cpu: 3, memMb: 300, diskMb: 30, ports: [80] }
  assert.equal((await imported(host.cloud, order, bootDisk(3 * MiB, 'other'))).problem, undefined)
  const { spec } = await host.cloud.collection('image').get(order.name)
  assert.deepEqual([spec.arch, spec.ways, spec.features, spec.cpu, spec.memMb, spec.diskMb, spec.ports], ['arm64', [], [], 3, 300, 30, [80]])
})

test('an import that breaks off goes on from where it was, also after a restart', needs, async () => {
  using home = temporaryDir('import')
  const bytes = bootDisk(4 * MiB)
  {
    await using host = await fakeCloud({ dir: home.dir })
    const leaving = new AbortController()
    const half = await imported(host.cloud, { name: 'mine' }, bytes, { signal: leaving.signal, onFrame: (frame) => void (frame.type === 'progress' && frame.doneBytes > 0 && leaving.abort()) }).catch(() => undefined)
    assert.deepEqual(half?.built ?? [], [])
    assert.deepEqual([shelf(home.dir).images.length, shelf(home.dir).parts.length], [0, 1])
  }
  await using host = await fakeCloud({ dir: home.dir })
  const rest = await imported(host.cloud, { name: 'mine' }, bytes)
  assert.deepEqual(rest.built, ['one'])
  const [offset = 0] = rest.wants
  assert.ok(offset > 0 && offset <= bytes.length, `it was begun anew (${offset})`)
  assert.ok(guestBytes(onlyDisk(home.dir).path).equals(bytes))
})

test('[F13] bytes that are not those announced never become an image', needs, async () => {
  using home = temporaryDir('import')
  await using host = await fakeCloud({ dir: home.dir })
  const bytes = bootDisk()
  const other = bootDisk(3 * MiB, 'other')
  const cases = [
    ['another sha256', await imported(host.cloud, { name: 'x' }, bytes, { sha256: digestOf(other) }), /the sha256 of its 3145728 bytes is/],
    ['--sha256 of another', await imported(host.cloud, { name: 'x', sha256: digestOf(other) }, bytes), /the sha256 of the file is/],
    ['too short', await imported(host.cloud, { name: 'x' }, bytes, { inputs: () => [{ type: 'from', offset: 0 }, { type: 'stdin', data: bytes.subarray(0, MiB) }, { type: 'eof' }] }), /it ended after 1048576 of 3145728 bytes/],
    ['too long', await imported(host.cloud, { name: 'x' }, bytes, { inputs: (from) => [{ type: 'from', offset: from }, { type: 'stdin', data: bytes }, { type: 'stdin', data: bytes }] }), /more came than the 3145728 bytes/],
    ['from beyond', await imported(host.cloud, { name: 'y' }, other, { inputs: () => [{ type: 'from', offset: 7 }] }), /cannot begin at 7/],
    ['no from', await imported(host.cloud, { name: 'y' }, other, { inputs: () => [{ type: 'stdin', data: other }] }), /without word of where they begin/],
  ] as const
  for (const [what, { problem, built }, message] of cases) {
    assert.deepEqual([problem?.code, built], ['invalid', []], what)
    assert.match(problem?.message ?? '', message, what)
  }
  assert.deepEqual(shelf(home.dir).images, [])
  assert.deepEqual((await imported(host.cloud, { name: 'x' }, bytes)).built, ['one'], 'and after all that the right ones do')
})

test('names: taken ones are refused, replaced only if imported, and one at a time', needs, async () => {
  using home = temporaryDir('import')
  await using host = await fakeCloud({ dir: home.dir })
  const one = bootDisk()
  const two = bootDisk(3 * MiB, 'two')
  assert.deepEqual((await imported(host.cloud, { name: 'mine' }, one)).built, ['one'])
  const taken = await imported(host.cloud, { name: 'mine' }, two)
  assert.deepEqual([taken.problem?.code, taken.problem?.subject], ['exists', 'image/mine'])
  assert.match(taken.problem?.remedy ?? '', /--replace/)
  assert.equal((await imported(host.cloud, { name: 'fake:micro', replace: true }, two)).problem?.code, 'exists', 'what the engine brings stays')
  for (const name of ['kept/x', '../x', 'a b', '']) assert.equal((await imported(host.cloud, { name }, two)).problem?.code, 'invalid', name)

  const before = (await host.cloud.collection('image').get('mine')).spec.digest
  const both = await Promise.all([imported(host.cloud, { name: 'mine', replace: true }, two), imported(host.cloud, { name: 'mine', replace: true }, bootDisk(3 * MiB, 'three'))])
  assert.deepEqual(both.map(({ problem }) => problem?.code ?? 'ok').toSorted(), ['conflict', 'ok'])
  assert.notEqual((await host.cloud.collection('image').get('mine')).spec.digest, before)
  const same = await Promise.all([imported(host.cloud, { name: 'a' }, bootDisk(3 * MiB, 'four')), imported(host.cloud, { name: 'b' }, bootDisk(3 * MiB, 'four'))])
  assert.deepEqual(same.map(({ problem }) => problem?.code ?? 'ok').toSorted(), ['conflict', 'ok'], 'the same bytes twice at once')
})

test('an imported image is deleted by an admin once no ENV is made of it', needs, async () => {
  using home = temporaryDir('import')
  await using host = await fakeCloud({ dir: home.dir })
  assert.deepEqual((await imported(host.cloud, { name: 'mine' }, bootDisk())).built, ['one'])
  await host.cloud.collection('env').put('demo', { spec: { groups: [{ image: 'mine' }] } })
  await assert.rejects(host.cloud.collection('image').remove('mine'), { code: 'conflict' })
  await host.cloud.collection('env').remove('demo')
  for (let tries = 0; ; tries++) {
    try {
      await host.cloud.collection('image').remove('mine')
      break
    } catch (fault) {
      if (tries > 100) throw fault
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  for (let tries = 0; shelf(home.dir).images.length > 0; tries++) {
    assert.ok(tries < 100, 'it is still there')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await assert.rejects(host.cloud.collection('image').remove('fake:micro'), { code: 'unsupported' })
})
