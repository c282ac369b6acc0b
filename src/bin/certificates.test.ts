import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { manualWorld } from '../base/manual-world.ts'
import { certificateFor, fingerprintFor, givenCertificate, ownCertificate } from './certificates.ts'

let dir: string
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'tt-tls-'))))
afterEach(() => rmSync(dir, { recursive: true }))

const day = 86_400_000
const mode = (...path: string[]) => (statSync(join(dir, ...path)).mode & 0o777).toString(8)
const made = (addresses = ['192.0.2.1'], world = manualWorld()) => ownCertificate(dir, { addresses, world })

test('J03: a server makes a certificate once, and only its user can read the key', () => {
  const first = made()
  assert.deepEqual([mode('tls'), mode('tls', 'key.pem')], ['700', '600'])
  chmodSync(join(dir, 'tls', 'key.pem'), 0o644)
  assert.deepEqual(made(), first)
  assert.equal(mode('tls', 'key.pem'), '600')
  assert.equal(fingerprintFor({ tls: { mode: 'own' }, dataDir: dir }), first.fingerprint)
  assert.deepEqual(certificateFor({ tls: { mode: 'own' }, dataDir: dir, address: '0.0.0.0', publicAddress: '192.0.2.1' }, manualWorld()), first)
  assert.equal(certificateFor({ tls: { mode: 'off' }, dataDir: dir, address: '', publicAddress: '' }, manualWorld()), undefined)
})

test('it is for the names and addresses of the server, and begins before clocks that are slow', () => {
  const cert = new X509Certificate(made(['cloud.example.org', '192.0.2.1', 'fd00::5', '::', '0.0.0.0']).cert)
  for (const name of ['cloud.example.org', 'localhost']) assert.equal(cert.checkHost(name), name)
  for (const ip of ['192.0.2.1', 'fd00::5', '127.0.0.1', '::1']) assert.equal(cert.checkIP(ip), ip)
  for (const ip of ['203.0.113.9', '0.0.0.0']) assert.equal(cert.checkIP(ip), undefined)
  assert.ok(cert.verify(cert.publicKey) && !cert.ca)
  assert.deepEqual([cert.validFromDate.getTime() - manualWorld().now(), cert.validToDate.getTime() - manualWorld().now()], [-day, 800 * day])
})

test('it is one in the eyes of OpenSSL, by the strict rules', { skip: spawnSync('openssl', ['version']).error ? 'openssl is not here' : false }, () => {
  made(['x'.repeat(63), 'fd00::', '::1:0', '::ffff:1.2.3.4'])
  const path = join(dir, 'tls', 'cert.pem')
  const { stdout, stderr } = spawnSync('openssl', ['verify', '-x509_strict', '-attime', String(manualWorld().now() / 1000), '-CAfile', path, path], { encoding: 'utf8' })
  assert.equal(stdout, `${path}: OK\n`, stderr)
  assert.match(spawnSync('openssl', ['x509', '-in', path, '-noout', '-text'], { encoding: 'utf8' }).stdout, /IP Address:FD00:0:0:0:0:0:0:0, IP Address:0:0:0:0:0:0:1:0, IP Address:0:0:0:0:0:FFFF:102:304/)
})

test('J03: it is made anew before it ends, or for another address, and its key stays: pins hold', () => {
  const world = manualWorld()
  const first = made(['192.0.2.1'], world)
  world.setClock(world.now() + 699 * day)
  assert.equal(made(['192.0.2.1'], world).cert, first.cert)
  world.setClock(world.now() + 2 * day)
  const second = made(['192.0.2.1'], world)
  assert.notEqual(second.cert, first.cert)
  assert.deepEqual([second.fingerprint, second.key, second.ends - first.ends], [first.fingerprint, first.key, 701 * day])
  const third = made(['192.0.2.1', '192.0.2.9'], world)
  assert.equal(new X509Certificate(third.cert).checkIP('192.0.2.9'), '192.0.2.9')
  assert.equal(third.fingerprint, first.fingerprint)
  const serials = [first, second, third].map(({ cert }) => new X509Certificate(cert).serialNumber)
  assert.equal(new Set(serials).size, 3)
})

test('a certificate beyond 2049 is still one', () => {
  const world = manualWorld()
  world.setClock(Date.UTC(2049, 11, 1))
  const cert = new X509Certificate(made(['192.0.2.1'], world).cert)
  assert.deepEqual([cert.validFromDate.toISOString(), cert.validToDate.toISOString()], ['2049-11-30T00:00:00.000Z', '2052-02-09T00:00:00.000Z'])
})

test('what is broken is made anew, except the key: that would lock everybody out', () => {
  const first = made()
  for (const wreck of ['', 'x', first.cert.slice(0, 200)]) {
    writeFileSync(join(dir, 'tls', 'cert.pem'), wreck)
    assert.equal(made().fingerprint, first.fingerprint)
  }
  writeFileSync(join(dir, 'tls', 'key.pem'), 'x')
  assert.throws(() => made(), { code: 'failed', remedy: /bring it back from a copy/ })
  assert.equal(readFileSync(join(dir, 'tls', 'key.pem'), 'utf8'), 'x')
})

test('J03: a given certificate is shown, with the key that belongs to it and nobody else may read', () => {
  const { cert, key, fingerprint } = made()
  const given = (certText: string, keyText: string, keyMode = 0o600) => {
    const [certPath, keyPath] = [join(dir, 'c.pem'), join(dir, 'k.pem')]
    writeFileSync(certPath, certText)
    rmSync(keyPath, { force: true })
    writeFileSync(keyPath, keyText, { mode: 0o600 })
    chmodSync(keyPath, keyMode)
    return givenCertificate(certPath, keyPath)
  }
  assert.deepEqual(given(`${cert}${cert}`, key).fingerprint, fingerprint)
  assert.equal(given(cert, key, 0o640).cert, cert)
  assert.equal(fingerprintFor({ tls: { mode: 'given', certPath: join(dir, 'c.pem'), keyPath: '' }, dataDir: '' }), fingerprint)
  rmSync(join(dir, 'tls'), { recursive: true })
  const other = made()
  assert.throws(() => given(cert, other.key), { code: 'invalid', message: /is not that of the certificate/ })
  assert.throws(() => given(cert, key, 0o644), { code: 'invalid', message: /everybody on this machine may read the key/ })
  assert.throws(() => given('x', key), { code: 'invalid', message: /is no certificate in PEM/ })
  assert.throws(() => given(cert, 'x'), { code: 'invalid', message: /is no private key in PEM/ })
  assert.throws(() => givenCertificate(join(dir, 'none'), join(dir, 'k.pem')), { code: 'invalid', message: /--tls-cert .* cannot be read: ENOENT/ })
  assert.ok(existsSync(join(dir, 'c.pem')))
})
