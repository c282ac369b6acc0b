import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sha256 } from '../../src/base/sha256.ts'
import { patternOf } from '../../src/model/transfer.ts'
import { inNamespace, type Said, type ServerGround, serverGround } from './ground.ts'

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

interface Results {
  results: { vm: string; bytes: number; movedBytes: number; seconds: number; code?: number; problem?: { code: string } }[]
}
const resultsOf = ({ stdout }: Said) => (JSON.parse(stdout) as Results).results

async function ok(server: ServerGround, ...args: string[]): Promise<Said> {
  const said = await server.tt(...args)
  assert.equal(said.code, 0, `tt ${args.join(' ')}: ${said.stderr}`)
  return said
}

/** What a shell in each VM says, without its line end. */
async function said(server: ServerGround, vm: number, script: string): Promise<string> {
  return (await ok(server, 'env', 'run', 'demo', '-m', String(vm), '--cmd', script)).stdout.trimEnd()
}

await inNamespace(import.meta.url, () => {
  test('[F11 F12 F13 F15] files and directories to real guests and back, and the server killed amid 20 commands and transfers', { timeout: 900_000 }, async (t) => {
    await using server = serverGround()
    await server.start()
    await ok(server, 'env', 'add', 'demo', '-s', 'micro', '-d', '2')
    const here = join(server.dir, 'here')
    mkdirSync(join(here, 'site', 'sub'), { recursive: true })

    await t.test('content and mode are what was sent, in every VM', async () => {
      writeFileSync(join(here, 'tool'), patternOf(3_000_000), { mode: 0o750 })
      await ok(server, 'env', 'push', 'demo', '-f', join(here, 'tool'))
      for (const vm of [0, 1, 2]) assert.equal(await said(server, vm, 'sha256sum /tmp/tool; stat -c %a /tmp/tool'), `${sha256(patternOf(3_000_000))}  /tmp/tool\n750`)
      await ok(server, 'env', 'get', 'demo', '-f', '/tmp/tool', '--to', join(here, 'back'))
      for (const vm of [0, 1, 2]) assert.ok(readFileSync(join(here, 'back', `demo.${vm}-tool`)).equals(patternOf(3_000_000)))
      writeFileSync(join(here, 'site', 'sub', 'a b'), 'x')
      writeFileSync(join(here, 'site', 'empty'), '')
      await ok(server, 'env', 'push', 'demo', '-m', '1', '-f', join(here, 'site'), '--to', '/root/www')
      assert.equal(await said(server, 1, 'cd /root/www && find . | sort && cat "sub/a b"'), '.\n./empty\n./sub\n./sub/a b\nx')
      const there = await server.tt('env', 'push', 'demo', '-m', '0', '-f', join(here, 'site', 'empty'), '--to', '/tmp/tool')
      assert.equal(there.code, 7, there.stderr)
    })

    await t.test('150 MB through the agent, and the server grows by no more than 50 MB', async (t) => {
      const statusMb = (field: 'VmRSS' | 'VmHWM') => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${server.pid()}/status`, 'utf8'))?.[1] ?? assert.fail(field)) / 1024
      const size = 150 << 20
      writeFileSync(join(here, 'long'), patternOf(size))
      const digest = sha256(readFileSync(join(here, 'long')))
      const beforeMb = statusMb('VmRSS')
      writeFileSync(`/proc/${server.pid()}/clear_refs`, '5') // The high-water mark begins anew: proc(5).
      const [pushed] = resultsOf(await ok(server, 'env', 'push', 'demo', '-m', '2', '-f', join(here, 'long'), '--to', '/root/long', '--json', '-t', '60'))
      const afterPush = statusMb('VmHWM')
      const [got] = resultsOf(await ok(server, 'env', 'get', 'demo', '-m', '2', '-f', '/root/long', '--to', join(here, 'long-back'), '--json', '-t', '60'))
      const afterGet = statusMb('VmHWM')
      t.diagnostic(`pushed in ${pushed?.seconds} s, fetched in ${got?.seconds} s; grown by ${Math.round(afterPush - beforeMb)} and ${Math.round(afterGet - beforeMb)} MB`)
      assert.equal(sha256(readFileSync(join(here, 'long-back'))), digest)
      assert.ok(afterGet - beforeMb <= 50, `grown by ${afterGet - beforeMb} MB`)
      await ok(server, 'env', 'run', 'demo', '-m', '2', '--cmd', 'rm /root/long')
    })

    await t.test('after SIGKILL the next commands are unaffected, transfers go on, and nothing is left', async () => {
      const size = 24_000_000
      const files = [0, 1, 2, 3, 4, 5, 6].map((n) => {
        const path = join(here, `big${n}`)
        writeFileSync(path, patternOf(size, n + 1))
        return path
      })
      await ok(server, 'env', 'push', 'demo', '-f', files[6] as string, '--to', '/root/source', '-t', '60')
      const push = (n: number) => ['env', 'push', 'demo', '-m', String(n % 3), '-f', files[n] as string, '--to', `/root/in/${n}`, '--json', '-t', '60']
      const get = (n: number) => ['env', 'get', 'demo', '-m', String(n % 3), '-f', '/root/source', '--to', join(here, `out${n}`), '--json', '-t', '60']
      await ok(server, 'env', 'run', 'demo', '--cmd', 'mkdir -p /root/in')
      const six = [0, 1, 2, 3, 4, 5]
      const running = [
        ...six.map((n) => server.tt(...push(n))),
        ...six.map((n) => server.tt(...get(n))),
        ...[0, 1, 2, 3, 4, 5, 6, 7].map((n) => server.tt('env', 'run', 'demo', '-m', String(n % 3), '--cmd', 'yes orphan-of-a-killed-server | head -c 300000000 >/dev/null; sleep 300')),
      ]
      const came = () => six.reduce((sum, n) => sum + (statSync(join(here, `.tt-part-out${n}`), { throwIfNoEntry: false })?.size ?? 0), 0)
      for (let tries = 0; tries < 600 && came() < 12_000_000; tries++) await sleep(50)
      await sleep(500)
      await server.stop('SIGKILL')
      const ended = await Promise.all(running)
      t.diagnostic(`of 20 at once, ${ended.filter(({ code }) => code === 0).length} were over when the server was killed`)
      assert.ok(ended.slice(12).every(({ code }) => code !== 0), 'commands that were cut off say so')
      await server.start()
      for (const vm of [0, 1, 2]) assert.equal(await said(server, vm, `echo "again  ${vm}"`), `again  ${vm}`)
      let kept = 0
      for (const n of six) {
        const [pushed] = resultsOf(await ok(server, ...push(n)))
        const got = ended[6 + n]?.code === 0 ? undefined : resultsOf(await ok(server, ...get(n)))[0]
        kept += size - (pushed?.movedBytes ?? size) + (size - (got?.movedBytes ?? size))
        assert.equal(await said(server, n % 3, `sha256sum < /root/in/${n}`), `${sha256(patternOf(size, n + 1))}  -`)
        assert.ok(readFileSync(join(here, `out${n}`)).equals(patternOf(size, 7)), `out${n}`)
      }
      t.diagnostic(`of ${12 * size} bytes ${kept} were not sent again`)
      assert.ok(kept > 0, 'what had come before the kill was not sent again')
      for (const vm of [0, 1, 2]) {
        assert.equal(await said(server, vm, 'find / -xdev -name ".tt-part-*"'), '', 'no temporary file is left in the guest')
        assert.equal(await said(server, vm, 'ps | grep -c "[o]rphan-of\\|[s]leep 300" || true'), '0', 'nor a command of the dead server')
      }
      assert.deepEqual(readdirSync(here).filter((name) => name.startsWith('.tt-part-')), [], 'nor here')
    })
  })
})
