import assert from 'node:assert/strict'
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cacheDir } from '../../src/bin/paths.ts'
import { errorCodes } from '../../src/model/errors.ts'
import { inNamespace, serverGround, traces } from './ground.ts'

const processTraces = (mark: string, dataDir: string) => traces(mark, dataDir).filter((line) => line.startsWith('process'))
/** Guests alone: their networks may have programs of their own beside them. */
const guests = (mark: string, dataDir: string) => processTraces(mark, dataDir).filter((line) => line.includes('qemu'))

async function until(holds: () => boolean, what: () => string): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 200, what())
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

await inNamespace(import.meta.url, () => {
  test('H12: with --on-exit destroy, kill -9 leaves no QEMU, and the next start takes the rest away; an image under /tmp works', { timeout: 180_000 }, async () => {
    const images = join('/tmp', `tt-leash-images-${process.pid}`)
    await using server = serverGround(['--on-exit', 'destroy', '--image-path', images])
    await using _ = { [Symbol.asyncDispose]: async () => rmSync(images, { recursive: true, force: true }) }
    const data = `${server.dir}/data`
    mkdirSync(images)
    chmodSync(images, 0o755)
    cpSync(join(cacheDir(process.env), 'demo-os'), join(images, 'mine'), { recursive: true })
    const manifest = join(images, 'mine/image.json')
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(/"name":\s*"demo-os"/, '"name": "mine"'))
    await server.start()
    for (let tries = 0; !(await server.tt('image', 'list')).stdout.includes('mine'); tries++) {
      assert.ok(tries < 60, server.log().slice(-2000))
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
    const added = await server.tt('env', 'add', 'three', '-s', 'mine', '-d', '2')
    assert.equal(added.code, 0, added.stderr)
    const mark = server.mark()
    assert.equal(guests(mark, data).length, 3)

    await server.stop('SIGKILL')
    await until(() => processTraces(mark, data).length === 0, () => processTraces(mark, data).join('\n'))
    assert.notDeepEqual(traces(mark, data), [], 'taps, rules and files cannot go by themselves')
    await server.start()
    assert.deepEqual(traces(mark, data), [])
    assert.deepEqual(((await server.json('env', 'list')) as { envs: unknown[] }).envs, [])
    assert.match(server.log(), /these ENVs are gone".*"envs":\["three"\]/)

    assert.equal((await server.tt('env', 'add', 'again', '-s', 'mine')).code, 0)
    assert.equal(guests(mark, data).length, 1)
    await server.stop()
    assert.deepEqual(traces(mark, data), [], 'an orderly end needs no next start')
  })

  test('VMs that run without a leash are not left behind unseen: a start with one is refused', { timeout: 120_000 }, async () => {
    await using server = serverGround()
    await server.start()
    assert.equal((await server.tt('env', 'add', 'kept', '-s', 'demo-os')).code, 0)
    await server.stop('SIGKILL')
    const refused = server.launch({ TT_ON_EXIT: 'destroy' })
    await server.gone()
    assert.equal(refused.exitCode, errorCodes.conflict.exit)
    assert.equal(guests(server.mark(), `${server.dir}/data`).length, 1, 'the VM runs on')
    await server.start()
    assert.match((await server.tt('env', 'list')).stdout, /kept +ready/)
  })
})
