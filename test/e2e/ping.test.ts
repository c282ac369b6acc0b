import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inNamespace, serverGround, type ShownEnv } from './ground.ts'

await inNamespace(import.meta.url, () => {
  test('[G01 P05] fault 10: of real guests kick-dead takes exactly the silent one, and one that ended says how and keeps its log', { timeout: 180_000 }, async () => {
    await using server = serverGround()
    await server.start()
    const added = await server.tt('env', 'add', 'demo', '-s', 'micro', '-d', '2')
    assert.equal(added.code, 0, added.stderr)
    const shown = async () => ((await server.json('env', 'show', 'demo')) as ShownEnv & { envs: { vms: { problem: { message: string } | null }[] }[] }).envs[0]?.vms ?? []
    const [, silent] = await shown()
    process.kill(silent?.pid ?? assert.fail('the VM has no process'), 'SIGSTOP')
    const kicked = await server.tt('env', 'update', 'demo', '--kick-dead', '--time-out', '3')
    assert.equal(kicked.code, 0, kicked.stderr)
    assert.deepEqual((await shown()).map(({ index }) => index), [0, 2])
    const alive = await server.tt('env', 'run', 'demo', '--cmd', 'true')
    assert.equal(alive.code, 0, alive.stderr)

    await server.tt('env', 'run', 'demo', '-m', '0', '--cmd', 'echo its-last-words > /dev/console; sync; poweroff -f', '--time-out', '5')
    for (let tries = 0; (await shown())[0]?.state !== 'stopped'; tries++) assert.ok(tries < 100, 'the guest did not end')
    assert.match((await shown())[0]?.problem?.message ?? '', /the guest ended by itself/)
    assert.match((await server.tt('env', 'logs', 'demo', '-m', '0')).stdout, /its-last-words/)
    const { events } = (await server.json('events', 'demo')) as { events: { subject: string; event: string; message: string }[] }
    assert.ok(events.some(({ subject, event, message }) => subject === 'vm/demo.0' && event === 'stopped' && message.includes('ended by itself')), JSON.stringify(events))
    assert.ok(events.some(({ subject, event, message }) => subject === 'env/demo' && event === 'changed' && message.includes('kicked')))
  })
})
