import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { realWorld } from '../src/base/world.ts'
import { ownCertificate } from '../src/bin/certificates.ts'
import { serverGround } from './e2e/ground.ts'
import { temporaryDir } from './fake-cloud.ts'
import { bootDisk, digestOf, disks, guestBytes, MiB, needing, onlyDisk, shelf, web, webProxy } from './import-ground.ts'

// A server and a client as programs of their own.

const needs = needing('qemu-img')
const root = fileURLToPath(new URL('..', import.meta.url))

test('[L10 K05] tt image import, from a file to an ENV, and tt image del', needs, async () => {
  using made = disks()
  await using server = serverGround(['--engine', 'fake'])
  await server.start()
  const vmdk = made.as('vmdk')
  const said = await server.tt('image', 'import', vmdk, '--name', 'old-box', '--no-cloud-init', '--memo', 'from the attic', '-C', '1', '--mem', '64', '-p', '80,443')
  assert.deepEqual([said.code, said.stdout], [0, `old-box: imported by ${hostOf(said.stdout)}\n`], said.stderr)
  const { images } = (await server.json('image', 'show', 'old-box')) as { images: Record<string, unknown>[] }
  const { memo, ways, features, cpu, memMb, ports } = images[0] ?? assert.fail('it is not shown')
  assert.deepEqual({ memo, ways, features, cpu, memMb, ports }, { memo: 'from the attic', ways: ['engine'], features: [], cpu: 1, memMb: 64, ports: [80, 443] })
  assert.ok(guestBytes(onlyDisk(join(server.dir, 'data')).path).equals(bootDisk()))
  const added = await server.tt('env', 'add', 'demo', '-s', 'old')
  assert.equal(added.code, 0, added.stderr)

  const again = await server.tt('image', 'import', vmdk, '--name', 'old-box')
  assert.deepEqual([again.code, /has an image old-box already \(exists\)/.test(again.stderr)], [7, true], again.stderr)
  const replaced = (await server.json('image', 'import', made.raw('other', bootDisk(3 * MiB, 'other')), '--name', 'old-box', '--replace')) as { built: { image: string }[] }
  assert.deepEqual(replaced.built.map(({ image }) => image), ['old-box'])
  assert.equal((await server.tt('image', 'del', 'old-box')).code, 8, 'an ENV is made of it')
  assert.equal((await server.tt('env', 'del', 'demo')).code, 0)
  const gone = await server.tt('image', 'del', 'old-box')
  assert.deepEqual([gone.code, gone.stdout], [0, 'old-box: deleted\n'], gone.stderr)
})

const hostOf = (text: string) => /imported by (\S+)/.exec(text)?.[1] ?? ''

test('tt image import says what is wrong with the line, the file and the disk', needs, async () => {
  using made = disks()
  await using server = serverGround(['--engine', 'fake'])
  await server.start()
  writeFileSync(made.path('page.html'), '<html><body>sign in')
  const raw = made.raw()
  const cases: [string[], number, RegExp][] = [
    [['image', 'import', raw], 2, /--name/],
    [['image', 'import', '--name', 'x'], 2, /FILE\|URL/],
    [['image', 'import', raw, '--name', 'x', '--agent', 'telnet'], 2, /--agent is "telnet", allowed is rexec, ssh, qga, engine, none/],
    [['image', 'import', raw, '--name', 'x', '--sha256', 'abc'], 2, /64 digits/],
    [['image', 'import', raw, '--name', 'x', '--sha256', '0'.repeat(64)], 2, /the sha256 of .*disk\.raw is [0-9a-f]{64}, not 0000/],
    [['image', 'import', raw, '--name', 'x', '--format', 'iso'], 2, /allowed is qcow2, raw, vmdk, vdi/],
    [['image', 'import', raw, '--name', 'x', '--host', 'nobody'], 6, /there is no host "nobody"/],
    [['image', 'import', raw, '--name', 'kept/x'], 2, /kept\//],
    [['image', 'import', made.path('none'), '--name', 'x'], 6, /there is no file/],
    [['image', 'import', made.dir, '--name', 'x'], 2, /is no file/],
    [['image', 'import', made.path('page.html'), '--name', 'x'], 2, /it is a web page or XML, not a disk/],
    [['image', 'import', 'ftp://host/disk', '--name', 'x'], 2, /begins with https:\/\/ or http:\/\/, not with ftp:/],
  ]
  for (const [args, code, message] of cases) {
    const said = await server.tt(...args)
    assert.equal(said.code, code, `${args.join(' ')}: ${said.stderr}`)
    assert.match(said.stderr, message)
  }
})

test('https with an authority of one\'s own and through a proxy, and no secret in the log or the audit trail', needs, async () => {
  using home = temporaryDir('certificate')
  const certificate = ownCertificate(home.dir, { addresses: ['127.0.0.1'], world: realWorld })
  const bytes = bootDisk()
  await using at = await web(bytes, certificate)
  await using server = serverGround(['--engine', 'fake', '--log-level', 'debug'])
  await using proxy = await webProxy(bytes)
  await server.start({ NODE_EXTRA_CA_CERTS: join(home.dir, 'tls/cert.pem'), https_proxy: proxy.url, no_proxy: '' })
  const said = await server.tt('image', 'import', `${at.url.replace('//', '//user:pa55word@')}?signature=s3cret`, '--name', 'far', '--sha256', digestOf(bytes).toUpperCase())
  assert.equal(said.code, 0, said.stderr)
  assert.equal(at.requests[0]?.headers.authorization, `Basic ${btoa('user:pa55word')}`)
  assert.deepEqual(proxy.passed, [`CONNECT 127.0.0.1:${at.port}`], 'https goes through the proxy of the environment, which sees none of it')
  const audit = await server.tt('audit')
  assert.match(audit.stdout, /open import +image\/far/)
  for (const [what, text] of [['log', server.log()], ['audit', audit.stdout], ['journal', readFileSync(join(server.dir, 'data/journal.ndjson'), 'utf8')]] as const) assert.ok(!/pa55word|s3cret|me:word/.test(text), `a secret is in the ${what}`)
})

test('[L01] an image is imported with curl alone', needs, async () => {
  const bytes = bootDisk()
  await using at = await web(bytes)
  await using server = serverGround(['--engine', 'fake'])
  await server.start()
  const token = readFileSync(join(server.dir, 'data/token'), 'utf8').trim()
  const ask = (body: object) => fetch(`http://127.0.0.1:${server.port}/v1/session`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const answer = await ask({ type: 'import', image: { name: 'far', url: at.url, sha256: digestOf(bytes) } })
  const frames = (await answer.text()).trim().split('\n').map((line) => JSON.parse(line) as { type: string; image?: string })
  assert.deepEqual([answer.status, frames.at(-1)?.type, frames.at(-1)?.image], [200, 'built', 'far'])
  const withoutUrl = await ask({ type: 'import', image: { name: 'near' } })
  assert.equal(withoutUrl.status, 400, 'bytes need a WebSocket')
})

test('[fault 39] the server killed in the middle of an import: the same command goes on from there', needs, async (t) => {
  const bytes = bootDisk(24 * MiB)
  using made = disks()
  const file = made.raw('large.raw', bytes)
  for (const way of ['a URL', 'a file'] as const) {
    await t.test(way, async () => {
      await using at = await web(bytes)
      await using server = serverGround(['--engine', 'fake'])
      await server.start()
      const data = join(server.dir, 'data')
      if (way === 'a URL') at.instead = slow(bytes)
      const args = ['image', 'import', way === 'a URL' ? at.url : file, '--name', 'mine']
      const env = { ...process.env, TT_SERVER: `127.0.0.1:${server.port}`, TT_DATA_DIR: data, TT_CONFIG: join(server.dir, 'config.json') }
      const client = spawn(join(root, 'tt'), args, { env, stdio: 'ignore' })
      const ended = new Promise((resolve) => client.once('exit', resolve))
      await partOf(data, way === 'a URL' ? MiB : 1)
      await server.stop('SIGKILL')
      assert.notEqual(await ended, 0)
      assert.deepEqual(shelf(data).images, [])
      const [part = ''] = shelf(data).parts
      const before = readFileSync(join(data, 'imported/.parts', part, 'bytes')).length
      assert.ok(before > 0)
      at.instead = undefined
      await server.start()
      const said = await server.tt(...args)
      assert.equal(said.code, 0, said.stderr)
      assert.ok(guestBytes(onlyDisk(data).path).equals(bytes))
      assert.deepEqual(shelf(data).parts, [])
      if (way === 'a URL') assert.match(at.asked.at(-1) ?? '', new RegExp(`bytes=${before}-`))
    })
  }
})

/** Two MiB, and then nothing for long. */
const slow = (bytes: Buffer): NonNullable<Awaited<ReturnType<typeof web>>['instead']> => (_request, response) => {
  response.writeHead(200, { 'content-length': bytes.length, etag: '"one"' })
  response.write(bytes.subarray(0, 2 * MiB))
  return true
}

async function partOf(data: string, atLeast: number): Promise<void> {
  for (let tries = 0; tries < 2000; tries++) {
    try {
      const [part = ''] = shelf(data).parts
      if (readFileSync(join(data, 'imported/.parts', part, 'bytes')).length >= atLeast) return
    } catch {
      // Not yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  assert.fail('nothing came')
}
