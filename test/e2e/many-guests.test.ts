import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { inNamespace, serverGround, type ShownEnv, traces } from './ground.ts'

// Thirty are for `npm run soak`: on a machine of two processors that others use, too, they take most of a minute.
const count = process.env['TT_SOAK'] === '1' ? 30 : 8

await inNamespace(import.meta.url, () => {
  test(`[H06 H11] ${count} micro VMs at once in one ENV: made, answering, unlike each other, and gone`, { timeout: 600_000 }, async (t) => {
    await using server = serverGround(['--cpu-total', '60']) // Two processors offer sixteen unless told.
    await server.start()
    const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
      const start = performance.now()
      const done = await work()
      t.diagnostic(`${count} VMs, ${what}: ${((performance.now() - start) / 1000).toFixed(1)} s`)
      return done
    }
    const shown = async () => ((await server.json('env', 'show', 'many')) as ShownEnv).envs[0] ?? assert.fail()
    /** Longer than a call of the client may take here: a machine that others use, too, takes its time. */
    const until = async (state: string) => {
      for (const end = performance.now() + 480_000; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
        const { vms, phase } = await shown()
        if (vms.length === count && vms.every((vm) => vm.state === state)) return
        assert(phase !== 'failed' && performance.now() < end, `it is ${phase}, and its VMs are ${vms.map((vm) => vm.state).join()}`)
      }
    }
    await timed('from env add to ready', async () => {
      const added = await server.tt('env', 'add', 'many', '-s', 'micro', '-d', String(count - 1), '--no-wait')
      assert.equal(added.code, 0, added.stderr)
      await until('ready')
    })
    const { vms } = await shown()
    for (const key of ['pid', 'ip'] as const) assert.equal(new Set(vms.map((vm) => vm[key])).size, count, `two have the same ${key}`)
    assert.equal(new Set(vms.flatMap(({ ports }) => Object.values(ports))).size, count, 'two have the same public port')
    const residentMb = vms.reduce((sum, { pid }) => sum + Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024, 0)
    t.diagnostic(`${count} VMs use ${residentMb.toFixed()} MB`)

    const ran = await timed('a command in each', () => server.tt('env', 'run', 'many', '--json', '--cmd', 'hostname; echo x >/root/x && sync'))
    assert.equal(ran.code, 0, ran.stderr)
    for (const { index } of vms) assert.match(ran.stdout, new RegExp(`many-${index}\\b`))
    for (const [verb, state] of [['stop', 'stopped'], ['start', 'ready']] as const) {
      await timed(`env ${verb}`, async () => {
        const said = await server.tt('env', verb, 'many', '--no-wait')
        assert.equal(said.code, 0, said.stderr)
        await until(state)
      })
    }
    const kept = await server.tt('env', 'run', 'many', '--cmd', 'test "$(cat /root/x)" = x')
    assert.equal(kept.code, 0, kept.stdout)
    const deleted = await timed('env del', () => server.tt('env', 'del', 'many'))
    assert.equal(deleted.code, 0, deleted.stderr)
    assert.deepEqual(traces(server.mark(), `${server.dir}/data`), [])
  })
})
