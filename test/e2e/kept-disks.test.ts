import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { inNamespace, type Said, serverGround, traces } from './ground.ts'

// What people see of disks: sizes that hold, sizes that change, and disks that outlive their VMs.

await inNamespace(import.meta.url, () => {
  test('[B15 C11 D04] a disk of the size asked for grows while its ENV is stopped, and is kept and started from again when it goes', { timeout: 300_000 }, async () => {
    await using server = serverGround()
    await server.start()
    const ok = async (...args: string[]): Promise<Said> => {
      const said = await server.tt(...args)
      assert.equal(said.code, 0, `tt ${args.join(' ')}: ${said.stderr}${said.stdout}${server.log().slice(-2000)}`)
      return said
    }
    const run = async (env: string, script: string) => (await ok('env', 'run', env, '--cmd', script)).stdout.trim()
    /** Its file system grows in the background. */
    const sizeMb = async (env: string, wanted: number) => run(env, `for at in $(seq 300); do size=$(df -m / | awk 'END { print $2 }'); [ $size -gt ${Math.floor(wanted * 0.88)} ] && break; sleep 0.1; done; cat /sys/class/block/vda/size; [ $size -le ${wanted} ] && [ $size -gt ${Math.floor(wanted * 0.88)} ] && echo fits`)

    await ok('env', 'add', 'box', '-s', 'micro', '-D', '300')
    assert.equal(await sizeMb('box', 300), `${300 * 2048}\nfits`)
    assert.match(await run('box', 'echo mine >/root/marker; dd if=/dev/zero of=/big bs=1M 2>&1; rm /big; sync'), /No space left on device/)
    const files = join(server.dir, 'data/volume/qcow2')
    const [file] = readdirSync(files)
    assert(statSync(join(files, file ?? '')).size < 302 * 2 ** 20)

    const running = await server.tt('env', 'update', 'box', '-D', '600')
    assert.notEqual(running.code, 0, 'the disk of a running VM')
    await ok('env', 'stop', 'box')
    const smaller = await server.tt('env', 'update', 'box', '-D', '280')
    assert.notEqual(smaller.code, 0, 'a disk that shrinks')
    await ok('env', 'update', 'box', '-D', '600', '-C', '2')
    await ok('env', 'start', 'box')
    assert.equal(await sizeMb('box', 600), `${600 * 2048}\nfits`)
    assert.equal(await run('box', 'cat /root/marker; nproc'), 'mine\n2')

    await ok('env', 'del', 'box', '--keep-disks')
    assert.deepEqual(traces(server.mark(), `${server.dir}/data`), [])
    const list = JSON.parse((await ok('image', 'list', '--json')).stdout) as { images: { name: string }[] }
    const kept = list.images.map(({ name }) => name).find((name) => name.startsWith('kept/box/0-'))
    assert(kept !== undefined, JSON.stringify(list))
    await ok('env', 'add', 'again', '-s', kept)
    assert.equal(await run('again', 'cat /root/marker'), 'mine')
    await ok('env', 'del', 'again')
    assert.deepEqual(traces(server.mark(), `${server.dir}/data`), [])
  })
})
