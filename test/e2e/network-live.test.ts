import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { inNamespace, type ServerGround, serverGround, type ShownEnv, traces } from './ground.ts'

const foreign = 'add table ip theirs; add map ip theirs public { type inet_service : ipv4_addr . inet_service; }; add element ip theirs public { 41000 : 10.77.0.2 . 22 }; add chain ip theirs c { type filter hook forward priority 10; }; add rule ip theirs c ip daddr 10.0.0.0/8 accept'

const vmsOf = async (server: ServerGround, env: string) => ((await server.json('env', 'show', env)) as ShownEnv).envs[0]?.vms ?? []
const ask = async (url: string) => (await fetch(url, { signal: AbortSignal.timeout(3000) }).catch(() => undefined))?.text()

/** Runs the client, which must succeed. */
async function tt(server: ServerGround, ...args: string[]): Promise<string> {
  const said = await server.tt(...args)
  assert.equal(said.code, 0, `${args.join(' ')}: ${said.stdout}${said.stderr}`)
  return said.stdout
}

/** Whether the command says 0 in the VM. */
const can = async (server: ServerGround, env: string, command: string) => (await server.tt('env', 'run', env, '--cmd', command)).code === 0

await inNamespace(import.meta.url, () => {
  test('[E03 E05 E06 E08 E09 E14 E15] the network of ENVs that run is changed by the client, kept over a killed server, and gone with them', { timeout: 300_000 }, async () => {
    execFileSync('nft', [foreign])
    const theirs = execFileSync('nft', ['list', 'table', 'ip', 'theirs'], { encoding: 'utf8' })
    execFileSync('ip', ['address', 'add', '192.0.2.1/32', 'dev', 'lo'])
    const outside = createServer((_, answer) => answer.end('outside')).listen(80, '192.0.2.1')
    await using server = serverGround(['--port-range', '41000-41005'])
    try {
      await server.start()
      await tt(server, 'env', 'add', 'one', '-s', 'micro', '-p', '8080')
      await tt(server, 'env', 'add', 'two', '-s', 'micro')
      await tt(server, 'env', 'run', 'one', '--cmd', 'mkdir -p /run/www && echo one >/run/www/f && httpd -p 8080 -h /run/www && httpd -p 9090 -h /run/www')
      const [before] = await vmsOf(server, 'one')
      assert.deepEqual(Object.keys(before?.ports ?? {}), ['22', '8080'])
      assert.equal(await ask(`http://127.0.0.1:${before?.ports[8080]}/f`), 'one\n')

      // E06: the whole set is replaced, 22 stays where it was, and the old port is dead.
      await tt(server, 'env', 'update', 'one', '-p', '9090')
      const [after] = await vmsOf(server, 'one')
      assert.deepEqual(Object.keys(after?.ports ?? {}), ['22', '9090'])
      assert.equal(after?.ports[22], before?.ports[22])
      assert.equal(await ask(`http://127.0.0.1:${after?.ports[9090]}/f`), 'one\n')
      assert.equal(await ask(`http://127.0.0.1:${before?.ports[8080]}/f`), undefined)

      // E05: one more than there are is refused, and takes nothing away.
      const greedy = await server.tt('env', 'update', 'one', '-p', '1,2,3,4,5,6')
      assert.notEqual(greedy.code, 0)
      assert.match(greedy.stdout + greedy.stderr, /public ports/)
      assert.equal(await ask(`http://127.0.0.1:${after?.ports[9090]}/f`), 'one\n')
      await tt(server, 'env', 'update', 'one', '-p', '9090')

      const reaches = 'wget -q -O /dev/null http://192.0.2.1/ & at=$!; (sleep 3; kill $at 2>/dev/null) & wait $at'
      assert.ok(await can(server, 'one', reaches))
      await tt(server, 'env', 'update', 'one', '--deny', '192.0.2.0/24')
      assert.ok(!(await can(server, 'one', reaches)))
      assert.ok(await can(server, 'two', reaches))

      const [two] = await vmsOf(server, 'two')
      const meets = `ping -c 1 -W 2 ${two?.ip}`
      assert.ok(!(await can(server, 'one', meets)))
      await tt(server, 'env', 'update', 'one', '--peer', 'two')
      assert.ok(await can(server, 'one', meets))

      const holds = async () => {
        assert.equal(await ask(`http://127.0.0.1:${after?.ports[9090]}/f`), 'one\n')
        assert.ok(!(await can(server, 'one', reaches)))
        assert.ok(await can(server, 'one', meets))
      }
      await server.stop('SIGKILL')
      await server.start()
      await holds()
      execFileSync('nft', ['delete', 'table', 'ip', `tt_${server.mark()}`])
      await new Promise((resolve) => setTimeout(resolve, 2000))
      await holds()

      await tt(server, 'env', 'update', 'one', '--no-deny', 'all', '--no-peer', 'all', '-n')
      assert.ok(!(await can(server, 'one', meets)))
      assert.ok(!(await can(server, 'one', reaches)))
      await tt(server, 'env', 'update', 'one', '-y')
      assert.ok(await can(server, 'one', reaches))
      await tt(server, 'env', 'del', 'one')
      assert.ok(await can(server, 'two', reaches), "removing one VM's rules removes nobody else's")
      await tt(server, 'env', 'del', 'two')
      assert.deepEqual(traces(server.mark(), `${server.dir}/data`), [])
      assert.equal(execFileSync('nft', ['list', 'table', 'ip', 'theirs'], { encoding: 'utf8' }), theirs)
    } finally {
      outside.close()
      outside.closeAllConnections()
    }
  })
})
