import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { cgroupDirs, inNamespace, serverGround, type ShownEnv } from './ground.ts'

await inNamespace(import.meta.url, () => {
  test('the doctor finds each kind of leak that is planted, and no other', { timeout: 120_000 }, async (t) => {
    await using server = serverGround()
    await server.start()
    const added = await server.tt('env', 'add', 'demo', '-s', 'demo-os')
    assert.equal(added.code, 0, added.stderr)
    const mark = server.mark()
    const data = join(server.dir, 'data')
    const leaks = async () => ((JSON.parse((await server.tt('doctor', '--leaks', '--json')).stdout) as { leaks: { kind: string; subject: string }[] }).leaks ?? [])
    assert.deepEqual(await leaks(), [], 'what is owned is no leak')

    const planted = async (kind: string, name: RegExp, plant: () => () => void) =>
      t.test(`a ${kind}`, async () => {
        const takeAway = plant()
        try {
          const found = await leaks()
          assert.ok(found.some((leak) => leak.kind === kind && name.test(leak.subject)), `${kind} ${name.source} is not among ${JSON.stringify(found)}`)
          assert.equal((await server.tt('doctor', '--leaks')).code !== 0, true)
        } finally {
          takeAway()
        }
        assert.deepEqual(await leaks(), [])
      })

    await planted('process', /./, () => {
      const child = spawn('sleep', ['100'], { argv0: `tt-${mark}-zzzz.9-0123456789abcdef`, stdio: 'ignore' })
      return () => void child.kill('SIGKILL')
    })
    await planted('tap', new RegExp(`tt${mark}t`), () => {
      execFileSync('ip', ['tuntap', 'add', 'dev', `tt${mark}tzzzz`, 'mode', 'tap'])
      return () => void execFileSync('ip', ['link', 'del', `tt${mark}tzzzz`])
    })
    await planted('bridge', new RegExp(`tt${mark}b`), () => {
      execFileSync('ip', ['link', 'add', `tt${mark}bzzzz`, 'type', 'bridge'])
      return () => void execFileSync('ip', ['link', 'del', `tt${mark}bzzzz`])
    })
    await planted('nft', /39999/, () => {
      execFileSync('nft', [`add element ip tt_${mark} public { 39999 : 10.64.9.9 . 22 }`])
      return () => void execFileSync('nft', [`delete element ip tt_${mark} public { 39999 }`])
    })
    await planted('cgroup', /zzzz\.9/, () => {
      const dir = join(dirname(cgroupDirs(mark)[0] ?? assert.fail('the VM has no cgroup')), 'zzzz.9')
      mkdirSync(dir)
      return () => rmdirSync(dir)
    })
    await planted('file', /zzzz\.9/, () => {
      const dir = join(data, 'engine', 'qemu', 'zzzz.9')
      mkdirSync(dir)
      return () => rmSync(dir, { recursive: true })
    })
    await planted('file', /stranger/, () => {
      writeFileSync(join(data, 'stranger'), '')
      return () => rmSync(join(data, 'stranger'))
    })
    await planted('mount', /zzzz/, () => {
      const dir = join(data, 'zzzz')
      mkdirSync(dir)
      execFileSync('mount', ['-t', 'tmpfs', 'none', dir])
      return () => {
        execFileSync('umount', [dir])
        rmdirSync(dir)
      }
    })
    const { envs } = (await server.json('env', 'show', 'demo')) as ShownEnv
    assert.equal(envs[0]?.vms[0]?.state, 'ready', 'the search disturbed nothing')
  })
})
