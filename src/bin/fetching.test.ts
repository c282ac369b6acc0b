import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { run } from '../base/run.ts'
import { selfSigned } from './certificate-der.ts'

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIANN ann@laptop'

test('J05: keys come by https from whoever has a certificate that is trusted, and from nobody else', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-ways-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const cert = selfSigned({ key: privateKey, names: ['localhost'], from: Date.now() - 1000, to: Date.now() + 86_400_000, serial: Buffer.from([0x41]) })
  writeFileSync(join(dir, 'cert.pem'), cert)
  const server = createServer({ key: privateKey.export({ type: 'pkcs8', format: 'pem' }), cert }, ({ url }, response) => {
    if (url === '/ann.keys') return response.end(`${key}\n`)
    if (url === '/moved.keys') return response.writeHead(302, { location: '/ann.keys' }).end()
    if (url === '/long.keys') return response.end('x'.repeat(100_000))
    response.writeHead(url === '/ill.keys' ? 500 : 404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close().closeAllConnections())
  const { port } = server.address() as { port: number }
  const program = `import { fetchText } from ${JSON.stringify(new URL('fetching.ts', import.meta.url).href)}
    console.log(JSON.stringify(await fetchText(process.argv[1], { limitBytes: 65536 }).then((text) => ({ text }), ({ code, message }) => ({ code, message }))))`
  const fetched = async (url: string, env: Record<string, string> = { NODE_EXTRA_CA_CERTS: join(dir, 'cert.pem') }) => {
    const { stdout } = await run([process.execPath, '--input-type=module', '-e', program, url], { env: { PATH: process.env['PATH'], ...env } })
    return JSON.parse(stdout) as { text?: string; code?: string; message?: string }
  }
  const at = `https://localhost:${port}`
  assert.deepEqual(await fetched(`${at}/ann.keys`), { text: `${key}\n` })
  assert.deepEqual(await fetched(`${at}/bob.keys`), {})
  assert.equal((await fetched(`${at}/moved.keys`)).code, 'unavailable')
  assert.equal((await fetched(`${at}/ill.keys`)).code, 'unavailable')
  assert.equal((await fetched(`${at}/long.keys`)).code, 'too_large')
  assert.equal((await fetched(`http://localhost:${port}/ann.keys`)).code, 'invalid')
  const untrusted = await fetched(`${at}/ann.keys`, {})
  assert.deepEqual([untrusted.code, untrusted.text], ['unavailable', undefined])
})
