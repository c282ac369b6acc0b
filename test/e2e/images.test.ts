import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { inNamespace, serverGround, type ShownEnv } from './ground.ts'

/**
 * A boot sector that prints `D` on the first serial line for ever, the smallest disk image there is:
 * mov dx,0x3f8; mov al,'D'; out dx,al; mov cx,0xffff; loop $; jmp back. The last two bytes make it bootable.
 */
function bootSector(): Buffer {
  const disk = Buffer.alloc(1 << 20)
  Buffer.from([0xba, 0xf8, 0x03, 0xb0, 0x44, 0xee, 0xb9, 0xff, 0xff, 0xe2, 0xfe, 0xeb, 0xf6]).copy(disk)
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}

await inNamespace(import.meta.url, () => {
  test('[H04 H05] images put into the image path are found without a restart, and disk images boot', { timeout: 120_000 }, async () => {
    const images = join('/tmp', `tt-images-${process.pid}`)
    await using server = serverGround(['--image-path', images])
    mkdirSync(images, { mode: 0o755 })
    try {
      await server.start()
      const names = async () => ((await server.json('image', 'list')) as { images: { name: string }[] }).images.map(({ name }) => name)
      const within15s = async (holds: (all: string[]) => boolean) => {
        for (let tries = 0; tries < 150; tries++) {
          if (holds(await names())) return
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
        assert.fail(`after 15 s there are ${(await names()).join(', ')}`)
      }
      assert.ok((await names()).includes('micro'), 'recipes are offered whatever the image path')
      writeFileSync(join(images, 'qemu:Sector:default'), bootSector(), { mode: 0o644 })
      writeFileSync(join(images, 'qemu:junk'), 'this is a text', { mode: 0o644 })
      writeFileSync(join(images, 'fire:other'), bootSector())
      writeFileSync(join(images, 'notes.txt'), 'not an image')
      await within15s((all) => all.includes('qemu:Sector:default'))
      const all = await names()
      for (const none of ['qemu:junk', 'fire:other', 'notes.txt']) assert.ok(!all.includes(none), none)

      const junk = await server.tt('env', 'add', 'bad', '-s', 'junk')
      assert.equal(junk.code, 6)
      assert.match(junk.stderr, /qemu:junk is not one, it is neither qcow2 nor a raw disk with a boot sector/)
      assert.equal((await server.tt('env', 'show', 'bad')).code, 6, 'nothing was made')

      const added = await server.tt('env', 'add', 'disk', '-s', 'sector', '-M', '100', '-D', '100')
      assert.equal(added.code, 0, added.stderr)
      const { envs } = (await server.json('env', 'show', 'disk')) as ShownEnv
      assert.equal(envs[0]?.vms[0]?.state, 'ready')
      for (let tries = 0; tries < 100; tries++) {
        if (/D{10}/.test((await server.tt('env', 'logs', 'disk')).stdout)) break
        assert.ok(tries < 99, 'the disk did not boot')
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      const ran = await server.tt('env', 'run', 'disk', '--cmd', 'true')
      assert.equal(ran.code, 10)
      assert.match(ran.stderr, /no agent/)

      rmSync(join(images, 'qemu:Sector:default'))
      await within15s((left) => !left.includes('qemu:Sector:default'))
    } finally {
      rmSync(images, { recursive: true, force: true })
    }
  })
})
