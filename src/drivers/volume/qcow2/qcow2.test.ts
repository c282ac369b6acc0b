import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { plainEffects } from '../../../base/effects.ts'
import { silentLog } from '../../../base/log.ts'
import { realWorld } from '../../../base/world.ts'
import { TtError } from '../../../model/errors.ts'
import type { Disk } from '../../../model/plan.ts'
import { growthContract } from '../growth.contract.ts'
import { keepingContract } from '../keeping.contract.ts'
import { volumeContract } from '../volume.contract.ts'
import { qcow2 } from './qcow2.ts'

const own = mkdtempSync(join(tmpdir(), 'tt-qcow2-'))
chmodSync(own, 0o711)
after(() => rmSync(own, { recursive: true }))

const home = (name: string) => {
  const dir = join(own, name)
  mkdirSync(dir, { recursive: true })
  return { dir, mark: 'tests', world: realWorld, effects: plainEffects(), log: silentLog }
}

/** A guest's view of a disk, by QEMU's own tools. */
const contents = {
  async read({ path, format }: Disk, offset: number, length: number): Promise<Buffer> {
    const dump = execFileSync('qemu-io', ['-r', '-f', format, '-c', `read -v ${offset} ${length}`, path], { encoding: 'utf8' })
    const lines = dump.matchAll(/^[0-9a-f]{8,}: {2}((?:[0-9a-f]{2} )+)/gm)
    return Buffer.from([...lines].map(([, hex]) => hex?.replaceAll(' ', '')).join(''), 'hex')
  },
  async write({ path, format }: Disk, offset: number, bytes: Buffer): Promise<void> {
    const input = join(own, 'write')
    writeFileSync(input, bytes)
    execFileSync('qemu-io', ['-f', format, '-c', `write -s ${input} ${offset} ${bytes.length}`, path])
  },
}

const rawBase = async (dir: string): Promise<Disk> => {
  const path = join(dir, 'base.raw')
  writeFileSync(path, Buffer.alloc(3 << 20, 'what the image holds; '))
  return { path, format: 'raw', sizeBytes: 3 << 20 }
}

const qcow2Base = async (dir: string): Promise<Disk> => {
  const { path, sizeBytes } = await rawBase(dir)
  const made = join(dir, 'base.qcow2')
  execFileSync('qemu-img', ['convert', '-c', '-O', 'qcow2', path, made])
  rmSync(path)
  return { path: made, format: 'qcow2', sizeBytes }
}

for (const subject of [
  { name: 'qcow2 on raw', factory: qcow2, base: rawBase, contents },
  { name: 'qcow2 on qcow2', factory: qcow2, base: qcow2Base, contents, options: { clusterBits: 18 } },
]) {
  await volumeContract(subject)
  await growthContract(subject)
  await keepingContract(subject)
}

test('a server that is killed while it makes volumes leaves whole ones or none', async () => {
  const kept = home('killed')
  const base = await rawBase(own)
  const script = `
    import { qcow2 } from ${JSON.stringify(import.meta.resolve('./qcow2.ts'))}
    import { plainEffects } from ${JSON.stringify(import.meta.resolve('../../../base/effects.ts'))}
    const volumes = await qcow2({ dir: ${JSON.stringify(kept.dir)}, effects: plainEffects() }, {})
    console.log('begun')
    for (let n = 0; ; n += 4) await Promise.all([0, 1, 2, 3].map((m) => volumes.create('env.' + (n + m), { base: ${JSON.stringify(base)}, sizeBytes: 8 << 20 })))`
  let seen = 0
  let halves = 0
  // Whether a kill comes in the middle of one is chance, and on a busy machine a rare one.
  for (let round = 0; round < 6 || ((halves === 0 || seen === 0) && round < 60); round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    await new Promise((resolve) => setTimeout(resolve, 3 + Math.random() * 20))
    child.kill('SIGKILL')
    await once(child, 'exit')
    halves += readdirSync(kept.dir).filter((name) => name.endsWith('.new')).length
    const volumes = await qcow2(kept, {})
    const ids = await volumes.list()
    assert.deepEqual(readdirSync(kept.dir).length, ids.length, 'only volumes are left')
    for (const id of ids) assert.equal((await volumes.attach(id)).sizeBytes, 8 << 20)
    const last = ids.at(-1)
    if (last !== undefined) execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', (await volumes.attach(last)).path])
    seen += ids.length
    await Promise.all(ids.map((id) => volumes.destroy(id)))
  }
  assert(seen > 0)
  assert(halves > 0, 'no kill came in the middle of one')
})

test('a volume whose bytes a power cut took is made anew, one with bytes never', async () => {
  const cut = home('cut')
  writeFileSync(join(cut.dir, 'env.0.qcow2'), '')
  writeFileSync(join(cut.dir, 'env.1.qcow2'), 'some of a guest’s data')
  const volumes = await qcow2(cut, {})
  assert.deepEqual(await volumes.list(), ['env.1'])
  const damaged = (fault: unknown) => fault instanceof TtError && fault.code === 'failed' && /damaged/.test(fault.message)
  await assert.rejects(volumes.create('env.1', { sizeBytes: 1 << 20 }), damaged)
  await assert.rejects(volumes.attach('env.1'), damaged)
  await assert.rejects(volumes.keep('env.1', join(own, 'kept')), damaged)
  assert.equal(readFileSync(join(cut.dir, 'env.1.qcow2'), 'utf8'), 'some of a guest’s data')
})

test('a guest that has forged its volume gets no file of the host into what is kept or grown', { skip: process.getuid?.() !== 0 && 'only root can give files away' }, async () => {
  const secret = join(own, 'secret')
  writeFileSync(secret, Buffer.alloc(1 << 20, 'nobody is to know'), { mode: 0o600 })
  const volumes = await qcow2(home('forged'), {})
  await volumes.create('env.0', { sizeBytes: 8 << 20, owner: 61_234 })
  const { path } = await volumes.attach('env.0')
  execFileSync('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', secret, path])
  const kept = join(own, 'kept')
  const denied = (fault: unknown) => fault instanceof TtError && fault.code === 'failed' && fault.message.includes('Permission denied')
  await assert.rejects(volumes.keep('env.0', kept), denied)
  await assert.rejects(volumes.create('env.0', { sizeBytes: 2 ** 43, owner: 61_234 }), denied)
  assert.deepEqual(readdirSync(own).filter((name) => name.startsWith('kept')), [])
  chmodSync(secret, 0o644)
  await volumes.keep('env.0', kept)
  assert((await contents.read({ path: kept, format: 'qcow2', sizeBytes: 8 << 20 }, 0, 4096)).includes('nobody is to know'), 'the forgery itself is not what is tried here')
})

test('QEMU finds nothing wrong with what was grown and written and grown again', async () => {
  const volumes = await qcow2(home('grown'), {})
  const sizes = [3 << 20, 2 ** 29, 2 ** 29 + 512, 2 ** 41, 2 ** 42, 2 ** 42 + 2 ** 30, 2 ** 44]
  for (const sizeBytes of sizes) {
    await volumes.create('env.0', { base: await rawBase(own), sizeBytes })
    const disk = await volumes.attach('env.0')
    const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', disk.path], { encoding: 'utf8' }))
    assert.equal(info['virtual-size'], sizeBytes)
    await contents.write(disk, sizeBytes - 4096, Buffer.alloc(4096, 5))
    const check = JSON.parse(execFileSync('qemu-img', ['check', '-f', 'qcow2', '--output=json', disk.path], { encoding: 'utf8' }))
    assert.deepEqual([check['check-errors'], check.corruptions, check.leaks], [0, undefined, undefined])
  }
})

test('an option that is none is refused', async () => {
  for (const options of [{ clusterBits: 9 }, { clusterBits: '16' }, { clusterbits: 16 }])
    await assert.rejects(qcow2(home('options'), options), (fault) => fault instanceof TtError && fault.code === 'invalid' && /lusterbits/i.test(fault.message))
})

test('a base its owner cannot read is refused and named', async () => {
  const base = await rawBase(own)
  chmodSync(base.path, 0o600)
  const volumes = await qcow2(home('closed'), {})
  const denied = (fault: unknown) => fault instanceof TtError && fault.code === 'denied' && fault.message.includes(base.path)
  await assert.rejects(volumes.create('env.0', { base, sizeBytes: 8 << 20, owner: 61_234 }), denied)
  assert.deepEqual(await volumes.list(), [])
})

test('one is made in a fraction of the time qemu-img takes', async (t) => {
  const base = await rawBase(own)
  const fast = home('fast')
  const volumes = await qcow2(fast, {})
  const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1] as number
  const timed = async (run: (n: number) => unknown, count: number) => {
    const times: number[] = []
    for (let n = 0; n < count; n++) {
      const start = performance.now()
      await run(n)
      times.push(performance.now() - start)
    }
    return median(times)
  }
  const ours = await timed((n) => volumes.create(`env.${n}`, { base, sizeBytes: 10 * 2 ** 30, owner: process.getuid?.() }), 200)
  const theirs = await timed((n) => execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base.path, '-F', 'raw', join(fast.dir, `peer.${n}`), '10G']), 9)
  t.diagnostic(`a 10 GiB overlay: ${ours.toFixed(2)} ms; qemu-img create: ${theirs.toFixed(2)} ms`)
  assert(ours < theirs / 3, `${ours} ms against ${theirs} ms`)
})
