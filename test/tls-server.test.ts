import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Said, type ServerGround, serverGround } from './e2e/ground.ts'

const root = join(import.meta.dirname, '..')
const fake = ['--engine', 'fake', '--cpu-total', '100', '--mem-total', '10000', '--disk-total', '100000']

function run(program: string, args: string[], env: Record<string, string> = {}, input = ''): Promise<Said> {
  return new Promise((resolve) => {
    const child = execFile(join(root, program), args, { env: { PATH: process.env['PATH'], ...env }, timeout: 60_000 }, (fault, stdout, stderr) => resolve({ code: fault ? Number(fault.code ?? 255) : 0, stdout, stderr }))
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}

/** Starts it and waits until it says that it serves. */
async function started(server: ServerGround): Promise<{ pid: number; fingerprint?: string }> {
  const state = join(server.dir, 'data', 'server.json')
  rmSync(state, { force: true })
  const child = server.launch()
  for (let tries = 0; tries < 600; tries++) {
    if (existsSync(state)) return JSON.parse(readFileSync(state, 'utf8')) as { pid: number; fingerprint?: string }
    assert.equal(child.exitCode, null, server.log().slice(-2000))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return assert.fail('it does not serve')
}

describe('a server with a certificate of its own', () => {
  let server: ServerGround
  let fingerprint: string
  let home: string
  before(async () => {
    server = serverGround([...fake, '--tls', 'own'])
    fingerprint = (await started(server)).fingerprint ?? assert.fail('it has no fingerprint')
    home = mkdtempSync(join(tmpdir(), 'tt-home-'))
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(home, { recursive: true })
  })
  const address = () => ['--server-addr', '127.0.0.1', '--server-port', String(server.port)]
  /** A client elsewhere: it sees nothing of the server's data. */
  const far = (args: string[], env: Record<string, string> = {}, input = '') => run('tt', args, { HOME: home, ...env }, input)
  const token = () => readFileSync(join(server.dir, 'data', 'token'), 'utf8')

  it('J03: needs no flag of a client of the same machine and user, for sessions with input neither', async () => {
    assert.equal((await server.tt('env', 'add', 'quick', '-s', 'micro')).code, 0)
    assert.equal((await server.tt('env', 'run', 'quick', '-m', '0', '-c', 'echo hello')).stdout, 'hello\n')
    const typed = await run('tt', ['env', 'run', 'quick', '-m', '0', '--stdin', '-c', 'cat'], { TT_SERVER: `127.0.0.1:${server.port}`, TT_DATA_DIR: join(server.dir, 'data'), HOME: home }, 'typed')
    assert.deepEqual([typed.code, typed.stdout], [0, 'typed'], typed.stderr)
    assert.equal((await server.tt('env', 'del', 'quick')).code, 0)
  })

  it('J03: says its fingerprint at start, in its log, and by `ttserver settings`', async () => {
    assert.ok(server.log().includes(fingerprint))
    const flags = ['--data-dir', join(server.dir, 'data')]
    assert.match((await run('ttserver', ['settings', ...flags])).stdout, new RegExp(`^fingerprint +${fingerprint.replaceAll(/[+/]/g, '.')} the server that runs$`, 'm'))
    assert.equal((JSON.parse((await run('ttserver', ['settings', '--json', ...flags])).stdout) as { fingerprint: string }).fingerprint, fingerprint)
    const up = await run('ttserver', ['up', '--serv-port', String(server.port), '--tls', 'own', ...flags, ...fake])
    assert.ok(up.stdout.includes('answers at') && up.stdout.includes(fingerprint), up.stdout + up.stderr)
    assert.equal(statSync(join(server.dir, 'data', 'tls', 'key.pem')).mode & 0o777, 0o600)
  })

  it('J03: is saved by a client elsewhere only with its fingerprint, and then asked by that alone', async () => {
    const unknown = await far(['config', ...address(), '--tls', '--token-file', '-'], {}, token())
    assert.equal(unknown.code, 5, unknown.stderr)
    assert.ok(unknown.stderr.includes(fingerprint) && !existsSync(join(home, '.config')), unknown.stderr)
    const wrong = await far(['config', ...address(), '--fingerprint', `sha256//${'A'.repeat(42)}E=`, '--token-file', '-'], {}, token())
    assert.equal(wrong.code, 5)
    assert.ok(wrong.stderr.includes(fingerprint) && wrong.stderr.includes('AAAE=') && !existsSync(join(home, '.config')), wrong.stderr)
    const saved = await far(['config', ...address(), '--fingerprint', fingerprint, '--token-file', '-', '-n', 'me'], {}, token())
    assert.equal(saved.code, 0, saved.stderr)
    assert.equal((await far(['env', 'list'])).code, 0)
    assert.equal((await far(['env', 'list', '--server', `127.0.0.1:${server.port}`])).code, 0, 'a known key is asked by TLS also when nobody said so')
    const plain = await far(['env', 'list', '--server', `http://127.0.0.1:${server.port}`])
    assert.deepEqual([plain.code, plain.stderr], [2, 'tt: this server speaks TLS only (invalid)\n  `tt config --tls` shows its fingerprint; `--trust` or `--fingerprint` keeps it, and https:// before the address asks by TLS\n'])
  })

  it('J03: keeps its key over restarts; another key is refused until somebody says otherwise', async () => {
    await server.stop()
    assert.equal((await started(server)).fingerprint, fingerprint)
    assert.equal((await far(['env', 'list'])).code, 0)
    await server.stop()
    rmSync(join(server.dir, 'data', 'tls'), { recursive: true })
    const fresh = (await started(server)).fingerprint ?? ''
    assert.notEqual(fresh, fingerprint)
    const refused = await far(['env', 'list'])
    assert.equal(refused.code, 5)
    assert.ok(refused.stderr.includes(fresh) && refused.stderr.includes(fingerprint) && refused.stderr.includes('--fingerprint'), refused.stderr)
    assert.equal((await far(['config', ...address()])).code, 5, 'config trusts it no more than others do')
    assert.equal((await far(['config', ...address(), '--fingerprint', fresh])).code, 0)
    assert.equal((await far(['env', 'list'])).code, 0)
    assert.equal((await server.tt('env', 'list')).code, 0, 'the client beside it knows')
    fingerprint = fresh
  })

  it('J03: is reached through a proxy that pins it, by TLS on both sides', async () => {
    const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(server.dir, 'data', 'tls', name))
    const port = server.port + 5000
    const proxy = spawn(join(root, 'ttproxy'), ['--proxy-addr', `127.0.0.1:${port}`, '--server-set', `https://127.0.0.1:${server.port}`, '--fingerprint', fingerprint, '--tls-cert', cert ?? '', '--tls-key', key ?? ''], { stdio: 'ignore' })
    const env = { TT_SERVER: `https://127.0.0.1:${port}`, TT_FINGERPRINT: fingerprint, TT_TOKEN: token().trim() }
    let said: Said = { code: -1, stdout: '', stderr: '' }
    for (let tries = 0; tries < 50 && said.code !== 0; tries++) said = await far(['status', '--server'], env)
    proxy.kill('SIGTERM')
    assert.equal(said.code, 0, said.stderr)
  })

  it('J03: is understood by curl', { skip: spawnSync('curl', ['--version']).error ? 'curl is not here' : false }, () => {
    const url = `https://localhost:${server.port}/ping`
    const curl = (...args: string[]) => spawnSync('curl', ['-sS', '--max-time', '10', ...args, url], { encoding: 'utf8' })
    assert.equal(curl('-k', '--pinnedpubkey', fingerprint).stdout, '{"ok":true}\n')
    assert.equal(curl('--cacert', join(server.dir, 'data', 'tls', 'cert.pem')).stdout, '{"ok":true}\n')
    assert.notEqual(curl('-k', '--pinnedpubkey', `sha256//${'A'.repeat(42)}E=`).status, 0)
    assert.notEqual(curl().status, 0)
  })
})

describe('a server with a given certificate', () => {
  it('J03: is trusted by its name where its authority is, and shows another on SIGHUP without a restart', async () => {
    await using maker = serverGround([...fake, '--tls', 'own'])
    await started(maker)
    const made = (name: string) => join(maker.dir, 'data', 'tls', name)
    const [cert, key] = [join(maker.dir, 'c.pem'), join(maker.dir, 'k.pem')]
    copyFileSync(made('cert.pem'), cert)
    copyFileSync(made('key.pem'), key)
    const authority = join(maker.dir, 'authority.pem')
    copyFileSync(cert, authority)
    await using server = serverGround([...fake, '--tls-cert', cert, '--tls-key', key])
    const { pid, fingerprint } = await started(server)
    const home = mkdtempSync(join(server.dir, 'home-'))
    const asked = (host: string, env: Record<string, string> = {}) => run('tt', ['env', 'list'], { HOME: home, TT_SERVER: `https://${host}:${server.port}`, TT_TOKEN: readFileSync(join(server.dir, 'data', 'token'), 'utf8').trim(), ...env })
    assert.equal((await asked('localhost', { NODE_EXTRA_CA_CERTS: authority })).code, 0)
    const untrusted = await asked('localhost')
    assert.equal(untrusted.code, 5)
    assert.match(untrusted.stderr, /is not trusted/)

    await maker.stop()
    rmSync(join(maker.dir, 'data', 'tls'), { recursive: true })
    await started(maker)
    copyFileSync(made('cert.pem'), cert)
    process.kill(pid, 'SIGHUP')
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.match(server.log(), /the certificate cannot be read; the last one is shown on/)
    assert.equal((await asked('localhost', { TT_FINGERPRINT: fingerprint ?? '' })).code, 0, 'the old pair, while half of a new one lies there')
    copyFileSync(made('key.pem'), key)
    process.kill(pid, 'SIGHUP')
    for (let tries = 0; tries < 40 && !server.log().includes('another certificate is shown'); tries++) await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal((await asked('localhost', { TT_FINGERPRINT: fingerprint ?? '' })).code, 5)
    assert.equal((await asked('localhost', { NODE_EXTRA_CA_CERTS: cert })).code, 0)
  })

  it('J03: does not start with half of it, or with what cannot be read', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tt-tls-'))
    const refusal = async (...flags: string[]) => (await run('ttserver', ['--serv-port', '19099', '--data-dir', join(dir, 'data'), ...fake, ...flags])).stderr
    assert.match(await refusal('--tls-cert', '/a'), /needs both --tls-cert and --tls-key/)
    assert.match(await refusal('--tls', 'own', '--tls-key', '/a'), /are for --tls given/)
    assert.match(await refusal('--tls', 'given', '--tls-cert', '/nowhere/c', '--tls-key', '/nowhere/k'), /--tls-cert \/nowhere\/c cannot be read/)
    assert.match(await refusal('--tls', 'maybe'), /--tls is "maybe", allowed is off, own or given/)
    rmSync(dir, { recursive: true })
  })
})

it('what docs/how-to/open-to-a-network.md tells to type works as it stands', { timeout: 60_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-docs-'))
  const page = readFileSync(join(root, 'docs/how-to/open-to-a-network.md'), 'utf8')
  const script = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text]) => text).join('').replaceAll('9527', String(19_100 + (process.pid % 800)))
  const env = { ...process.env, TT_DATA_DIR: join(dir, 'data'), TT_CONFIG: join(dir, 'config.json') }
  const { status, stdout, stderr } = spawnSync('sh', ['-eu', '-c', script], { cwd: root, env, encoding: 'utf8', timeout: 50_000 })
  rmSync(dir, { recursive: true, force: true })
  assert.equal(status, 0, stdout + stderr)
  assert.match(stdout, /^fingerprint +sha256\/\/.* the server that runs$/m)
  assert.match(stdout, /^NAME +STATE/m)
})
