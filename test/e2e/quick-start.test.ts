import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inNamespace, serverGround, type ShownEnv, traces } from './ground.ts'

await inNamespace(import.meta.url, () => {
  test('[L14 B15 F08 N02 P08] the quick start, typed as a new user would, on real guests', { timeout: 240_000 }, async () => {
    await using server = serverGround()
    await server.start()
    const { tt } = server
    const ok = async (...args: string[]) => {
      const said = await tt(...args)
      assert.equal(said.code, 0, `tt ${args.join(' ')}: ${said.stderr}`)
      return said.stdout
    }
    assert.match(await ok('config', '--serv-addr', '127.0.0.1', '--serv-port', String(server.port)), /127\.0\.0\.1/)
    assert.match(await ok('status'), new RegExp(`127\\.0\\.0\\.1:${server.port}`))
    assert.match(await ok('status', '--server'), /micro/)
    assert.match(await ok('image', 'list'), /demo-os/)
    assert.match(await ok('env', 'add', 'demo', '--os-prefix=micro', '-d', '1', '-p', '8080'), /demo is ready: 2 VMs/)
    assert.match(await ok('env', 'list'), /demo/)
    const { envs } = (await server.json('env', 'show', 'demo')) as ShownEnv
    assert.deepEqual(envs[0]?.vms.map(({ state }) => state), ['ready', 'ready'])
    assert.deepEqual(Object.keys(envs[0]?.vms[0]?.ports ?? {}), ['22', '8080'])

    const both = await tt('env', 'run', 'demo', '--cmd', 'echo "a  b"; echo err >&2; exit 3', '--json')
    assert.equal(both.code, 3, both.stderr)
    const { results } = JSON.parse(both.stdout) as { results: { vm: string; code: number; stdout: string; stderr: string }[] }
    assert.deepEqual(results.map(({ code, stdout, stderr }) => ({ code, stdout, stderr })), Array(2).fill({ code: 3, stdout: 'a  b\n', stderr: 'err\n' }))

    const one = await tt('env', 'run', 'demo', '-m', '1', '--cmd', 'echo "a  b"; echo err >&2; exit 3')
    assert.deepEqual(one, { code: 3, stdout: 'a  b\n', stderr: 'err\n' })

    const first = envs[0]?.vms[0]
    const [ip, ports] = [first?.ip ?? '', first?.ports ?? {}]
    const web = await tt('env', 'run', 'demo', '-m', '0', '--cmd', 'mkdir -p /www && echo from-the-guest > /www/index.html && httpd -p 8080 -h /www')
    assert.equal(web.code, 0, web.stderr)
    for (const place of [`${ip}:8080`, `127.0.0.1:${ports['8080']}`]) assert.equal(await (await fetch(`http://${place}/index.html`)).text(), 'from-the-guest\n', place)

    await ok('env', 'run', 'demo', '-m', '0', '--cmd', 'echo kept > /root/kept')
    await ok('env', 'stop', 'demo')
    await ok('env', 'start', 'demo')
    assert.equal((await tt('env', 'run', 'demo', '-m', '0', '--cmd', 'cat /root/kept')).stdout, 'kept\n')

    await ok('env', 'del', 'demo')
    // An image of some hundred bytes without an agent: its output is seen, and what it cannot do is said.
    await ok('env', 'add', 'tiny', '-s', 'demo-os')
    let printed = ''
    for (let tries = 0; tries < 100 && !/A.*B/s.test(printed); tries++) {
      await sleep(100)
      printed = await ok('env', 'logs', 'tiny')
    }
    assert.match(printed, /A.*B/s)
    const run = await tt('env', 'run', 'tiny', '--cmd', 'true')
    assert.notEqual(run.code, 0)
    assert.match(run.stderr, /agent/)
    await ok('env', 'del', 'tiny')
    assert.deepEqual(traces(server.mark(), `${server.dir}/data`), [])
    assert.equal((await tt('doctor', '--leaks')).code, 0)
    assert.equal((await tt('env', 'show', 'demo')).code, 6)
  })
})
