import assert from 'node:assert/strict'
import { statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { realWorld, type World } from '../src/base/world.ts'
import { ownCertificate } from '../src/bin/certificates.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'
import { bootDisk, digestOf, guestBytes, imported, MiB, needing, onlyDisk, shelf, web, webProxy } from './import-ground.ts'

const needs = needing('qemu-img')

/** A clock on which the pauses between tries are short. */
const hasty: World = { ...realWorld, sleep: (ms, signal) => realWorld.sleep(Math.min(ms, 20), signal) }
const bytes = bootDisk(4 * MiB)

test('[L10 M06] a host fetches an image by its address and checks its sha256', needs, async () => {
  using home = temporaryDir('import')
  await using at = await web(bytes)
  await using host = await fakeCloud({ dir: home.dir })
  const done = await imported(host.cloud, { name: 'mine', url: at.url, sha256: digestOf(bytes) })
  assert.deepEqual([done.problem, done.built, done.wants], [undefined, ['one'], []])
  assert.ok(guestBytes(onlyDisk(home.dir).path).equals(bytes))
  assert.deepEqual(at.asked, ['GET /disk'])
  assert.ok(done.frames.some((frame) => frame.type === 'progress' && frame.what === 'fetching' && frame.totalBytes === bytes.length))
  assert.equal(at.requests[0]?.headers['accept-encoding'], 'identity')

  const wrong = await imported(host.cloud, { name: 'other', url: at.url, sha256: digestOf(Buffer.from('other')) })
  assert.deepEqual([wrong.problem?.code, wrong.problem?.subject], ['invalid', 'image/other'])
  assert.deepEqual(shelf(home.dir).parts, [], 'wrong bytes are not kept')
})

test('[F13] a connection that breaks is made again by itself, and only the rest is fetched', needs, async () => {
  using home = temporaryDir('import')
  await using at = await web(bytes)
  at.breakAfter = 1_500_000
  await using host = await fakeCloud({ dir: home.dir, world: hasty })
  const done = await imported(host.cloud, { name: 'mine', url: at.url })
  assert.deepEqual([done.problem, done.built], [undefined, ['one']])
  assert.ok(guestBytes(onlyDisk(home.dir).path).equals(bytes))
  assert.ok(at.asked.length >= 3 && at.asked.slice(1).every((line) => /bytes=[1-9]\d*-/.test(line)), at.asked.join())
  assert.ok(at.requests.slice(1).every(({ headers }) => headers['if-range'] === '"one"'))
})

test('a part is gone on with after a restart if its server says that it is the same, and begun anew otherwise', needs, async (t) => {
  const cases: [string, (at: Awaited<ReturnType<typeof web>>) => void, 'rest' | 'whole', { sha256?: string }][] = [
    ['by its ETag', () => undefined, 'rest', {}],
    ['by the time of its change', (at) => ([at.etag, at.lastModified] = [undefined, 'Fri, 20 Nov 2026 10:00:00 GMT']), 'rest', {}],
    ['with a weak ETag', (at) => (at.etag = 'W/"one"'), 'whole', {}],
    ['with no mark', (at) => (at.etag = undefined), 'whole', {}],
    ['with no mark, and a sha256', (at) => (at.etag = undefined), 'rest', { sha256: digestOf(bytes) }],
  ]
  for (const [what, prepare, expected, more] of cases) {
    await t.test(what, async () => {
      using home = temporaryDir('import')
      await using at = await web(bytes)
      prepare(at)
      const order = { name: 'mine', url: at.url, ...more }
      await begun(home.dir, order, at)
      await using host = await fakeCloud({ dir: home.dir })
      const done = await imported(host.cloud, order)
      assert.deepEqual([done.problem, done.built], [undefined, ['one']])
      assert.ok(guestBytes(onlyDisk(home.dir).path).equals(bytes))
      assert.match(at.asked.at(-1) ?? '', expected === 'rest' ? /bytes=[1-9]/ : /^GET \/disk$/)
    })
  }
  await t.test('another file by now, which says so', async () => {
    using home = temporaryDir('import')
    await using at = await web(bytes)
    await begun(home.dir, { name: 'mine', url: at.url }, at)
    at.bytes = bootDisk(4 * MiB, 'another')
    at.etag = '"two"'
    await using host = await fakeCloud({ dir: home.dir })
    assert.deepEqual((await imported(host.cloud, { name: 'mine', url: at.url })).built, ['one'])
    assert.ok(guestBytes(onlyDisk(home.dir).path).equals(at.bytes), 'two files were mixed')
  })
  await t.test('another file by now, which does not say so, and a sha256', async () => {
    using home = temporaryDir('import')
    await using at = await web(bytes)
    at.etag = undefined
    const now = bootDisk(4 * MiB, 'another')
    const order = { name: 'mine', url: at.url, sha256: digestOf(now) }
    await begun(home.dir, order, at)
    at.bytes = now
    await using host = await fakeCloud({ dir: home.dir })
    assert.deepEqual((await imported(host.cloud, order)).built, ['one'])
    assert.ok(guestBytes(onlyDisk(home.dir).path).equals(now))
  })
})

/** Leaves a part behind, as a caller does who goes away. */
async function begun(dir: string, order: { name: string; url: string; sha256?: string }, at: Awaited<ReturnType<typeof web>>): Promise<void> {
  await using host = await fakeCloud({ dir })
  const leaving = new AbortController()
  at.breakAfter = 1_500_000
  await imported(host.cloud, order, undefined, { signal: leaving.signal, onFrame: (frame) => void (frame.type === 'note' && leaving.abort()) }).catch(() => undefined)
  at.breakAfter = undefined
  const { parts, images } = shelf(dir)
  assert.deepEqual([parts.length, images.length], [1, 0])
  assert.ok(statSync(join(dir, 'imported/.parts', parts[0] ?? '', 'bytes')).size > 0)
}

test('what a server answers is told as it is, and tried again only if that may help', needs, async (t) => {
  const cases: [string, number, Record<string, string>, string, RegExp, number][] = [
    ['404', 404, {}, 'not_found', /is answered by 404 Not Found/, 1],
    ['403', 403, {}, 'failed', /403 Forbidden/, 1],
    ['500', 500, {}, 'unavailable', /500 Internal Server Error/, 6],
    ['429', 429, {}, 'unavailable', /429/, 6],
    ['packed on the way', 200, { 'content-encoding': 'gzip' }, 'unsupported', /packed by gzip/, 1],
    ['no room for so much', 200, { 'content-length': String(2 ** 50) }, 'exhausted', /1048576\.0 GB, and there is room for/, 1],
    ['round and round', 302, { location: '/again' }, 'failed', /more than 10 times/, 11],
    ['to a file of the host', 302, { location: 'file:///etc/shadow' }, 'invalid', /begins with https/, 1],
    ['to the services of the network', 302, { location: 'http://169.254.169.254/latest' }, 'denied', /169\.254\.169\.254 is an address/, 1],
    ['to those in IPv6', 302, { location: 'http://[::ffff:169.254.169.254]/latest' }, 'denied', /is an address of/, 1],
  ]
  for (const [what, status, headers, code, message, requests] of cases) {
    await t.test(what, { timeout: 20_000 }, async () => {
      using home = temporaryDir('import')
      await using at = await web(bytes)
      at.instead = (_request, response) => {
        response.writeHead(status, headers)
        if (status === 200) response.write('x')
        else response.end()
        return true
      }
      await using host = await fakeCloud({ dir: home.dir, world: hasty })
      const { problem } = await imported(host.cloud, { name: 'mine', url: at.url.replace('//', '//user:secret@').concat('?signature=secret') })
      assert.deepEqual([problem?.code, at.asked.length], [code, requests], problem?.message)
      assert.match(problem?.message ?? '', message)
      assert.ok(!JSON.stringify(problem).includes('secret'), `a secret is told: ${problem?.message}`)
      assert.equal(at.requests[0]?.headers.authorization, `Basic ${btoa('user:secret')}`)
    })
  }
})

test('redirects are followed, and passwords stay with the server they are for', needs, async () => {
  using home = temporaryDir('import')
  await using at = await web(bytes)
  await using first = await web(Buffer.alloc(0))
  first.instead = (_request, response) => {
    response.writeHead(302, { location: at.url }).end()
    return true
  }
  await using host = await fakeCloud({ dir: home.dir })
  assert.deepEqual((await imported(host.cloud, { name: 'mine', url: first.url.replace('//', '//user:secret@') })).built, ['one'])
  assert.equal(at.requests[0]?.headers.authorization, undefined)
})

test('a server that is silent is given up, and one that nobody trusts is not asked', needs, async () => {
  using home = temporaryDir('import')
  using temporary = temporaryDir('certificate')
  await using at = await web(bytes)
  at.instead = () => true
  const quick: World = { ...hasty, after: (ms, run) => realWorld.after(Math.min(ms, 200), run) }
  await using host = await fakeCloud({ dir: home.dir, world: quick })
  const silent = await imported(host.cloud, { name: 'mine', url: at.url })
  assert.deepEqual([silent.problem?.code, at.asked.length], ['unavailable', 6])
  assert.match(silent.problem?.message ?? '', /no byte came for 60 s/)

  const dead = await imported(host.cloud, { name: 'mine', url: 'http://127.0.0.1:1/disk' })
  assert.equal(dead.problem?.code, 'unavailable')
  assert.match(dead.problem?.message ?? '', /ECONNREFUSED/)

  const { key, cert } = ownCertificate(temporary.dir, { addresses: ['127.0.0.1'], world: realWorld })
  await using secure = await web(bytes, { key, cert })
  const stranger = await imported(host.cloud, { name: 'mine', url: secure.url })
  assert.deepEqual([stranger.problem?.code, secure.asked.length], ['denied', 0])
  assert.match(stranger.problem?.remedy ?? '', /NODE_EXTRA_CA_CERTS/)
})

test('proxies of the environment are used, and no_proxy is heeded', needs, async () => {
  using home = temporaryDir('import')
  await using at = await web(bytes)
  await using proxy = await webProxy(bytes)
  const { passed, url: through } = proxy
  const variables = { http_proxy: through, https_proxy: through, no_proxy: 'direct.example,127.0.0.2' }
  await using host = await fakeCloud({ dir: home.dir, world: hasty, host: { variables } })
  assert.deepEqual((await imported(host.cloud, { name: 'one', url: 'http://far.example/disk' })).built, ['one'])
  assert.deepEqual(passed, [`GET http://far.example/disk Basic ${btoa('me:word')}`])
  passed.length = 0
  assert.equal((await imported(host.cloud, { name: 'two', url: at.url.replace('http:', 'https:') })).problem?.code !== undefined, true, 'it is no https server')
  assert.ok(passed.length > 0 && passed.every((line) => line === `CONNECT 127.0.0.1:${at.port}`), passed.join())
  passed.length = 0
  await imported(host.cloud, { name: 'three', url: 'http://127.0.0.2:1/disk' })
  assert.deepEqual(passed, [])
})

test('[fault 39] parts that nobody has gone on with for a day are swept at the next start', needs, async () => {
  using home = temporaryDir('import')
  await using at = await web(bytes)
  await begun(home.dir, { name: 'old', url: at.url }, at)
  const [old = ''] = shelf(home.dir).parts
  const path = join(home.dir, 'imported/.parts', old, 'bytes')
  const longAgo = (Date.now() - 25 * 3600 * 1000) / 1000
  utimesSync(path, longAgo, longAgo)
  writeFileSync(join(home.dir, 'imported/.parts', 'not-a-part'), '')
  await using _host = await fakeCloud({ dir: home.dir })
  assert.deepEqual(shelf(home.dir).parts, [])
})
