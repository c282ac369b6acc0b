import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { cgroupDirs, inNamespace, serverGround, type ShownEnv } from './ground.ts'

interface Diagnosis {
  findings: { check: string; state: string; message: string; remedy?: string; fixed?: boolean }[]
  leaks: { kind: string; subject: string; fixed?: boolean }[]
}

await inNamespace(import.meta.url, () => {
  test('N07: fault 40: the doctor takes away every kind of leak on the machine, sees limits that are gone, and touches no VM', { timeout: 120_000 }, async () => {
    await using server = serverGround()
    await server.start()
    const added = await server.tt('env', 'add', 'demo', '-s', 'demo-os')
    assert.equal(added.code, 0, added.stderr)
    const mark = server.mark()
    const data = join(server.dir, 'data')
    const asked = async (...flags: string[]) => {
      const { code, stdout, stderr } = await server.tt('doctor', '--json', ...flags)
      assert.notEqual(stdout, '', stderr)
      return { code, ...(JSON.parse(stdout) as Diagnosis) }
    }
    const healthy = await asked()
    assert.deepEqual([healthy.code, healthy.leaks, healthy.findings.filter(({ state }) => state === 'bad')], [0, [], []])
    for (const check of ['engine', 'kvm', 'cgroups', 'drivers', 'network', 'space', 'ports', 'clock', 'images', 'data']) assert.ok(healthy.findings.some((one) => one.check === check), check)
    for (const { state, remedy, message } of healthy.findings) assert.ok(state === 'good' || remedy, message)

    const child = spawn('sleep', ['1000'], { argv0: `tt-${mark}-zzzz.9-0123456789abcdef`, stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    execFileSync('ip', ['tuntap', 'add', 'dev', `tt${mark}tzzzz`, 'mode', 'tap'])
    execFileSync('ip', ['link', 'add', `tt${mark}bzzzz`, 'type', 'bridge'])
    execFileSync('nft', [`add element ip tt_${mark} public { 39999 : 10.64.9.9 . 22 }`])
    const [ownGroup = ''] = cgroupDirs(mark)
    mkdirSync(join(dirname(ownGroup), 'zzzz.9'))
    mkdirSync(join(data, 'engine', 'qemu', 'zzzz.9'))
    const volumes = join(data, 'volume', readdirSync(join(data, 'volume')).find((name) => name === 'reflink' || name === 'qcow2') ?? '')
    writeFileSync(join(volumes, `zzzz.9.${volumes.endsWith('qcow2') ? 'qcow2' : 'raw'}`), 'x')
    writeFileSync(join(data, 'stranger'), '')
    const found = await asked()
    assert.equal(found.code, 3)
    assert.deepEqual([...new Set(found.leaks.map(({ kind }) => kind))].sort(), ['bridge', 'cgroup', 'file', 'nft', 'process', 'tap'])

    const mended = await asked('--fix')
    assert.deepEqual(mended.leaks.filter(({ fixed }) => !fixed).map(({ subject }) => subject), [join(data, 'stranger')], JSON.stringify(mended.leaks))
    await ended
    assert.equal(child.signalCode, 'SIGKILL')
    const links = execFileSync('ip', ['-br', 'link'], { encoding: 'utf8' })
    assert.ok(!links.includes('zzzz'), links)
    assert.ok(!execFileSync('nft', ['list', 'table', 'ip', `tt_${mark}`], { encoding: 'utf8' }).includes('39999'))
    assert.deepEqual(cgroupDirs(mark).filter((dir) => dir.endsWith('zzzz.9')), [])
    const { envs } = (await server.json('env', 'show', 'demo')) as ShownEnv
    assert.equal(envs[0]?.vms[0]?.state, 'ready', 'the VM lives on')

    const quota = cgroupDirs(mark).map((dir) => [join(dir, 'memory.limit_in_bytes'), join(dir, 'memory.max')]).flat()
    const file = quota.find((path) => readdirSync(dirname(path)).includes(path.slice(path.lastIndexOf('/') + 1))) ?? assert.fail('the VM has no limit of memory')
    writeFileSync(file, file.endsWith('max') ? 'max' : '-1')
    const loose = (await asked()).findings.filter(({ state }) => state === 'bad')
    assert.equal(loose.length, 1, JSON.stringify(loose))
    assert.match(loose[0]?.message ?? '', /1 of 1 running guests are not limited/)

    execFileSync('nft', [`flush set bridge tt_${mark} cards`])
    assert.match((await asked()).findings.find(({ check, state }) => check === 'network' && state === 'bad')?.message ?? '', /1 of 1 VM has lost/)
    const anew = (await asked('--fix')).findings.filter(({ check }) => check === 'network')
    assert.deepEqual(anew.map(({ state, fixed }) => [state, fixed]), [['bad', true], ['good', undefined]])
  })
})
