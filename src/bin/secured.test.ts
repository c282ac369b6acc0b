import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { ApiServer, Identity } from '../api/server.ts'
import { jsonLog } from '../base/log.ts'
import { manualWorld } from '../base/manual-world.ts'
import { certificateFor, ownCertificate, type TlsSettings } from './certificates.ts'
import { keptFresh, warnOfOpenEars } from './secured.ts'

const dayMs = 86_400_000
let dir: string
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'tt-tls-'))))
afterEach(() => rmSync(dir, { recursive: true }))

/** What is kept fresh, with the certificates the server was given and the lines of the log. */
function kept(tls: TlsSettings, world = manualWorld()) {
  const settings = { tls, dataDir: dir, address: '127.0.0.1', publicAddress: '127.0.0.1' }
  const shown: Identity[] = []
  const lines: string[] = []
  const api = { secure: (identity: Identity) => void shown.push(identity) } as unknown as ApiServer
  const first = certificateFor(settings, world) ?? assert.fail('no certificate')
  const fresh = keptFresh(api, first, { settings, world, log: jsonLog((line) => void lines.push(line), world.now) })
  return { world, shown, lines, first, [Symbol.dispose]: () => fresh[Symbol.dispose]() }
}

test('J03: a certificate of its own is made anew while the server runs, before it ends', async () => {
  using one = kept({ mode: 'own' })
  await one.world.advance(699 * dayMs)
  assert.equal(one.shown.length, 0)
  await one.world.advance(2 * dayMs)
  assert.equal(one.shown.length, 1)
  assert.match(one.lines.join(''), /another certificate is shown from now on/)
  assert.ok(one.lines.every((line) => !line.includes('PRIVATE')))
  one[Symbol.dispose]()
  assert.equal(one.world.timers, 0)
})

test('a given certificate is read again at once on SIGHUP; one that cannot be read leaves the last', () => {
  const world = manualWorld()
  const paths = { certPath: join(dir, 'c.pem'), keyPath: join(dir, 'k.pem') }
  const give = (home: string) => {
    ownCertificate(join(dir, home), { addresses: [], world })
    copyFileSync(join(dir, home, 'tls/cert.pem'), paths.certPath)
    copyFileSync(join(dir, home, 'tls/key.pem'), paths.keyPath)
  }
  give('one')
  using one = kept({ mode: 'given', ...paths }, world)
  const listeners = process.listeners('SIGHUP')
  const hup = () => listeners.at(-1)?.('SIGHUP')
  hup()
  assert.equal(one.shown.length, 0)
  writeFileSync(paths.certPath, 'x')
  hup()
  assert.match(one.lines.join(''), /the certificate cannot be read; the last one is shown on/)
  give('two')
  hup()
  assert.equal(one.shown.length, 1)
  assert.notEqual(one.shown[0]?.cert, one.first.cert)
  one[Symbol.dispose]()
  assert.equal(process.listeners('SIGHUP').length, listeners.length - 1)
})

test('a given certificate that ends is told in time', async () => {
  const world = manualWorld()
  ownCertificate(dir, { addresses: [], world })
  using one = kept({ mode: 'given', certPath: join(dir, 'tls/cert.pem'), keyPath: join(dir, 'tls/key.pem') }, world)
  await world.advance(780 * dayMs)
  assert.doesNotMatch(one.lines.join(''), /ends soon/)
  await world.advance(10 * dayMs)
  assert.match(one.lines.join(''), /the certificate ends soon/)
  await world.advance(20 * dayMs)
  assert.match(one.lines.at(-1) ?? '', /the certificate has ended/)
})

test('J03: a server that the network reaches without TLS says so, with what to do', () => {
  const warned = (address: string, mode: 'off' | 'own' = 'off') => {
    const lines: string[] = []
    warnOfOpenEars({ tls: { mode }, address }, jsonLog((line) => void lines.push(line), () => 0))
    return lines.join('')
  }
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) assert.equal(warned(address), '', address)
  for (const address of ['0.0.0.0', '::', '192.0.2.1', '127.example.org']) assert.match(warned(address), /"level":"warn".*open to the network without TLS.*--tls own/, address)
  assert.equal(warned('0.0.0.0', 'own'), '')
})
