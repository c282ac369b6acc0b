import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { inNamespace, serverGround, type ShownEnv } from './ground.ts'

await inNamespace(import.meta.url, () => {
  test('[E16] without nftables VMs are reached by QEMU itself, and what that cannot do is an error that says so', { timeout: 240_000 }, async () => {
    await using server = serverGround(['--network', 'user-mode'])
    await server.start()
    const refused = async (...args: string[]) => {
      const said = await server.tt(...args)
      assert.notEqual(said.code, 0, `${args.join(' ')}: ${said.stdout}`)
      return said.stdout + said.stderr
    }
    assert.match(await refused('env', 'add', 'choosy', '-s', 'micro', '--deny', '192.0.2.1'), /user-mode cannot deny single addresses/)
    await server.tt('env', 'del', 'choosy')

    const added = await server.tt('env', 'add', 'plain', '-s', 'micro', '-p', '8080')
    assert.equal(added.code, 0, added.stderr)
    assert.equal((await server.tt('env', 'run', 'plain', '--cmd', 'mkdir /run/www && echo here >/run/www/f && httpd -p 8080 -h /run/www && httpd -p 9090 -h /run/www')).code, 0)
    const vm = async () => ((await server.json('env', 'show', 'plain')) as ShownEnv).envs[0]?.vms[0]
    const fetched = async (inner: number) => (await fetch(`http://127.0.0.1:${(await vm())?.ports[inner]}/f`).catch(() => undefined))?.text()
    assert.equal(await fetched(8080), 'here\n')

    // QEMU lets 10.0.2.2 be the 127.0.0.1 of the machine.
    const outside = createServer((_, answer) => answer.end('outside')).listen(0, '127.0.0.1')
    await once(outside, 'listening')
    const calls = async () => (await server.tt('env', 'run', 'plain', '--cmd', `wget -q -O /dev/null http://10.0.2.2:${(outside.address() as AddressInfo).port}/ & at=$!; (sleep 3; kill $at 2>/dev/null) & wait $at`)).code === 0
    assert.equal(await calls(), true)

    const live = await refused('env', 'update', 'plain', '-p', '9090')
    assert.match(live, /changes neither the ports of a guest that runs nor what it may reach/)
    assert.match(live, /tt env stop plain/)
    assert.equal(await fetched(8080), 'here\n')
    assert.match(await refused('env', 'update', 'plain', '-p', '8080', '-n'), /changes neither/)
    for (const verb of ['stop', 'start']) assert.equal((await server.tt('env', verb, 'plain')).code, 0)
    assert.equal((await server.tt('env', 'run', 'plain', '--cmd', 'httpd -p 8080 -h / && exit 0')).code, 0)
    assert.deepEqual(Object.keys((await vm())?.ports ?? {}), ['22', '8080'])
    assert.equal(await calls(), false, 'it is denied from its next start')
    outside.close()
    assert.equal((await server.tt('env', 'del', 'plain')).code, 0)
  })
})
