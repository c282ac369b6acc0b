import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inNamespace, serverGround } from './ground.ts'

interface Shown {
  envs: { vms: { pid: number | null; state: string; guest: { state: string } | null }[] }[]
}

await inNamespace(import.meta.url, () => {
  test('F17: F18: a command in a real guest that hangs for a while is told of and waited for; its log outlives the VM', { timeout: 240_000, skip: process.env['TT_SOAK'] === '1' ? false : 'a guest is called silent after 35 s, twice: TT_SOAK=1 (test/silent-guests.test.ts has it without real guests)' }, async (t) => {
    await using server = serverGround()
    await server.start()
    const added = await server.tt('env', 'add', 'demo', '-s', 'micro', '-d', '1')
    assert.equal(added.code, 0, added.stderr)
    const shown = async () => ((await server.json('env', 'show', 'demo')) as Shown).envs[0]?.vms ?? []
    const pid = (await shown())[1]?.pid ?? assert.fail('the VM has no process')
    t.after(() => {
      try {
        process.kill(pid, 'SIGCONT')
      } catch {
        // It has ended.
      }
    })
    const running = server.tt('env', 'run', 'demo', '--cmd', 'sleep 8; echo done')
    await new Promise((resolve) => setTimeout(resolve, 4000))
    process.kill(pid, 'SIGSTOP')
    const isLost = async () => (await shown())[1]?.guest?.state === 'lost'
    for (let tries = 0; !(await isLost()); tries++) {
      assert.ok(tries < 60, 'the guest is not called lost')
      await new Promise((resolve) => setTimeout(resolve, 1000))
    }
    process.kill(pid, 'SIGCONT')
    const { code, stdout, stderr } = await running
    assert.equal(code, 0, stderr)
    assert.equal(stdout.match(/^done$/gm)?.length, 2, stdout)
    assert.match(stderr, /^demo\.1: the guest is silent for [34]\d s, and the command is still waited for.*\ndemo\.1: the guest answers again, after /m)
    assert.doesNotMatch(stderr, /demo\.0/)

    assert.equal((await server.tt('env', 'run', 'demo', '--cmd', 'echo its-last-words >/dev/console')).code, 0)
    assert.equal((await server.tt('env', 'stop', 'demo')).code, 0)
    for (const flags of [[], ['-f']]) {
      const logs = await server.tt('env', 'logs', 'demo.1', ...flags)
      assert.equal(logs.code, 0, logs.stderr)
      assert.match(logs.stdout, /its-last-words/)
      assert.equal(logs.stderr, flags.length > 0 ? 'demo.1: it is stopped, and nothing follows\n' : '')
    }
    const refused = await server.tt('env', 'run', 'demo', '--cmd', 'true')
    assert.match(refused.stderr, /ENV demo is stopped/)
  })
})
