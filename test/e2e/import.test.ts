import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { test } from 'node:test'
import { bootDisk, converted, disks, MiB, stranger } from '../import-ground.ts'
import { inNamespace, serverGround, type ShownEnv } from './ground.ts'

const asRoot = process.getuid?.() === 0
const forRoot = asRoot ? {} : { skip: 'only root may change users' }

await inNamespace(import.meta.url, () => {
  test('[L10 K05 H06] a disk that was imported starts a real VM', { timeout: 180_000 }, async () => {
    using made = disks()
    await using server = serverGround()
    await server.start()
    for (const [format, path] of [['vmdk', made.as('vmdk', 'subformat=streamOptimized')], ['qcow2', made.as('qcow2', '-c')]] as const) {
      const said = await server.tt('image', 'import', path, '--name', `sector-${format}`, '--agent', 'none', '--no-cloud-init', '-C', '1', '-M', '100', '-D', '10')
      assert.equal(said.code, 0, said.stderr)
      const added = await server.tt('env', 'add', format, '-s', `sector-${format}`)
      assert.equal(added.code, 0, added.stderr)
      for (let tries = 0; !/D{10}/.test((await server.tt('env', 'logs', format)).stdout); tries++) {
        assert.ok(tries < 100, 'the disk did not boot')
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
    const { envs } = (await server.json('env', 'show', 'vmdk')) as ShownEnv
    assert.equal(envs[0]?.vms[0]?.state, 'ready')
    assert.equal((await server.tt('image', 'del', 'sector-vmdk')).code, 8)
    for (const env of ['vmdk', 'qcow2']) assert.equal((await server.tt('env', 'del', env)).code, 0)
    assert.equal((await server.tt('image', 'del', 'sector-vmdk', 'sector-qcow2')).code, 0)
    const leaks = await server.tt('doctor', '--leaks')
    assert.ok(!/imported/.test(leaks.stdout + leaks.stderr), leaks.stdout)
  })

  test('what reads a stranger\'s disk has no rights, no network and none of the host\'s files', { ...forRoot, timeout: 60_000 }, async () => {
    using made = disks()
    const raw = made.raw('large', Buffer.concat([bootDisk(2 * MiB), Buffer.alloc(62 * MiB, 'much')]))
    const seen: { uid: string; caps: string; privs: string; net: string; limits: string; argv: string }[] = []
    const watching = setInterval(() => {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        try {
          const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
          const status = readFileSync(`/proc/${pid}/status`, 'utf8')
          if (!argv.startsWith('qemu-img ') || !new RegExp(`^PPid:\\t${process.pid}$`, 'm').test(status)) continue
          const of = (field: string) => new RegExp(`^${field}:\\t(.*)$`, 'm').exec(status)?.[1] ?? ''
          seen.push({ uid: of('Uid'), caps: of('CapEff') + of('CapBnd'), privs: of('NoNewPrivs'), net: readlinkSync(`/proc/${pid}/ns/net`), limits: readFileSync(`/proc/${pid}/limits`, 'utf8'), argv })
        } catch {
          // It has ended.
        }
      }
    }, 2)
    try {
      await converted(raw, made.path('out'))
    } finally {
      clearInterval(watching)
    }
    assert.ok(seen.length > 0, 'nothing was seen')
    for (const { uid, caps, privs, net, limits, argv } of seen) {
      assert.equal(uid, Array(4).fill(stranger).join('\t'))
      assert.equal(caps, '0'.repeat(32))
      assert.equal(privs, '1')
      assert.notEqual(net, readlinkSync('/proc/self/ns/net'))
      assert.match(limits, /Max address space +2147483648 +2147483648/)
      assert.match(limits, /Max cpu time +\d+ +\d+/)
      assert.ok(!argv.includes(made.dir), 'it is told a path')
    }

    // The same without the look at the header that comes before: what it is led to it cannot open.
    const secret = made.raw('secret', bootDisk(3 * MiB, 'secret'))
    execFileSync('chmod', ['600', secret])
    const away = made.forged(made.as('vmdk'), (bytes) => {
      bytes.writeBigUInt64LE(0n, 12)
      bytes.fill(0, 512, 1536).write(`# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 6144 FLAT "${secret}" 0\n`, 512, 'latin1')
    })
    await assert.rejects(converted(away, made.path('out2'), { kind: 'vmdk' }), /Permission denied|could not be opened|cannot be/i)
    made.img('create', '-f', 'qcow2', '-F', 'raw', '-b', secret, 'backed')
    await assert.rejects(converted(made.path('backed'), made.path('out3'), { kind: 'qcow2' }), { code: 'invalid' })
  })

  test('[fault 39] what reads a disk ends with the server, also if that is killed', { timeout: 60_000 }, async () => {
    using made = disks()
    const raw = made.raw('large', Buffer.concat([bootDisk(2 * MiB), Buffer.alloc(62 * MiB, 'much')]))
    const script = `import { converted } from ${JSON.stringify(new URL('../import-ground.ts', import.meta.url).pathname)}; await converted(${JSON.stringify(raw)}, ${JSON.stringify(made.path('out'))})`
    const server = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
    const ended = new Promise((resolve) => server.once('exit', resolve))
    let reader: number | undefined
    while (reader === undefined && server.exitCode === null) {
      reader = childOf(server.pid ?? 0)
      if (reader === undefined) await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(reader !== undefined, 'it was not seen')
    process.kill(reader, 'SIGSTOP')
    server.kill('SIGKILL')
    await ended
    for (let tries = 0; existsSync(`/proc/${reader}`) && !/^State:\tZ/m.test(readFileSync(`/proc/${reader}/status`, 'utf8')); tries++) {
      assert.ok(tries < 100, 'it lives on')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })
})

/** The `qemu-img convert` that this process has started. */
function childOf(parent: number): number | undefined {
  const text = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
  return text.split(' ').filter((pid) => pid !== '').map(Number).find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('qemu-img\0convert')
    } catch {
      return false
    }
  })
}
