import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { rfbOpened } from '../../src/drivers/engine/rfb.ts'
import { inNamespace, serverGround } from './ground.ts'

const program = join(import.meta.dirname, '../../tt')

/** A disk whose boot sector does nothing: hlt; jmp back. */
function idleDisk(): Buffer {
  const disk = Buffer.alloc(1 << 20)
  Buffer.from([0xf4, 0xeb, 0xfd]).copy(disk)
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}

await inNamespace(import.meta.url, () => {
  test('a viewer reaches the screen of a disk image through the API and by nothing else', { timeout: 120_000 }, async () => {
    const images = join('/tmp', `tt-screen-${process.pid}`)
    await using server = serverGround(['--image-path', images])
    mkdirSync(images, { mode: 0o755 })
    writeFileSync(join(images, 'qemu:idle:default'), idleDisk(), { mode: 0o644 })
    const children: ChildProcess[] = []
    const env = { ...process.env, TT_SERVER: `127.0.0.1:${server.port}`, TT_DATA_DIR: join(server.dir, 'data'), TT_CONFIG: join(server.dir, 'config.json') }
    const sockets: Socket[] = []
    const vnc = (...args: string[]) => {
      const child = spawn(program, ['env', 'vnc', 'idle.0', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
      children.push(child)
      const said = { err: '' }
      child.stderr.on('data', (bytes: Buffer) => (said.err += bytes.toString()))
      const ended = once(child, 'exit').then(([code]) => code as number)
      return { child, said, ended }
    }
    const until = async (holds: () => boolean, what: () => string) => {
      for (const end = Date.now() + 20_000; !holds(); await new Promise((resolve) => setTimeout(resolve, 20))) assert.ok(Date.now() < end, what())
    }
    try {
      await server.start()
      const listed = async () => ((await server.json('image', 'list')) as { images: { name: string }[] }).images.some(({ name }) => name === 'qemu:idle:default')
      for (const end = Date.now() + 20_000; !(await listed()); await new Promise((resolve) => setTimeout(resolve, 100))) assert.ok(Date.now() < end, 'the image is not listed')
      const added = await server.tt('env', 'add', 'idle', '-s', 'idle', '-M', '100', '-D', '100')
      assert.equal(added.code, 0, added.stderr)

      const socket = join(images, 'screen.sock')
      const one = vnc('--listen', socket)
      await until(() => existsSync(socket), () => one.said.err)
      assert.equal(statSync(socket).mode & 0o077, 0, 'nobody else may open it')
      const viewers = [connect(socket), connect(socket)]
      sockets.push(...viewers)
      for (const viewer of viewers) {
        const { width, height, name } = await rfbOpened(viewer)
        assert.deepEqual([width > 100, height > 100, name.startsWith('QEMU')], [true, true, true], `${width} × ${height}, ${name}`)
      }
      // What is drawn comes too: the whole screen, in raw bytes.
      viewers[0]?.write(Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 64, 0, 64))
      const drawn = viewers[0] as Socket
      for (const end = Date.now() + 10_000; drawn.readableLength < 4; await new Promise((resolve) => setTimeout(resolve, 10))) {
        assert.ok(Date.now() < end, 'nothing is drawn')
        drawn.read(0)
      }
      assert.equal((drawn.read(4) as Buffer)[0], 0, 'a FramebufferUpdate')
      one.child.kill('SIGINT')
      assert.equal(await one.ended, 0, one.said.err)
      assert.equal(existsSync(socket), false)
      assert.match(one.said.err, /which only you may open/)

      const viewer = join(images, 'viewer')
      writeFileSync(viewer, `#!/bin/sh\necho "$@" >${images}/called\nexit 3\n`)
      chmodSync(viewer, 0o755)
      const two = vnc('--viewer', viewer)
      assert.equal(await two.ended, 3, two.said.err)
      assert.match(readFileSync(join(images, 'called'), 'utf8'), /^127\.0\.0\.1::59\d\d\n$/)
      assert.match(two.said.err, /Every user of this machine may connect there/)

      const taken = vnc('--listen', `127.0.0.1:${server.port}`)
      assert.equal(await taken.ended, 8, taken.said.err)
      const plain = await server.tt('env', 'add', 'blind', '-s', 'demo-os')
      assert.equal(plain.code, 0, plain.stderr)
      const blind = await server.tt('env', 'vnc', 'blind.0')
      assert.equal(blind.code, 10)
      assert.match(blind.stderr, /this VM has no screen/)
    } finally {
      for (const child of children) child.kill('SIGKILL')
      for (const one of sockets) one.destroy()
      rmSync(images, { recursive: true, force: true })
    }
  })
})
