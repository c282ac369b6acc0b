import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Said, type ServerGround, serverGround } from './e2e/ground.ts'

const program = join(import.meta.dirname, '../tt')
const roomy = ['--engine', 'fake', '--cpu-total', '1000', '--mem-total', '100000', '--disk-total', '1000000']

/** The client of somebody whose home this is; nothing of the environment of the test reaches it. */
function clientAt(home: string, fixed: Record<string, string> = {}) {
  return (args: string[], { env = {}, input }: { env?: Record<string, string>; input?: string } = {}) =>
    new Promise<Said>((resolve) => {
      const child = execFile(program, args, { env: { PATH: process.env['PATH'], HOME: home, ...fixed, ...env }, timeout: 60_000 }, (fault, stdout, stderr) => resolve({ code: fault ? Number(fault.code ?? 255) : 0, stdout, stderr }))
      child.stdin?.on('error', () => undefined)
      child.stdin?.end(input ?? '')
    })
}

/** Every file below a directory with its mode, its time and its bytes. */
function contents(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const { mode, mtimeMs, size } = lstatSync(join(dir, name))
      const bytes = statSync(join(dir, name)).isFile() ? createHash('sha256').update(readFileSync(join(dir, name))).digest('hex') : ''
      return `${name} ${mode.toString(8)} ${mtimeMs} ${size} ${bytes}`
    })
    .sort()
}

describe('a client and a server that runs', () => {
  let server: ServerGround
  let home: string
  let tokenFile: string
  let tt: ReturnType<typeof clientAt>
  const at = () => ['--server-addr', '127.0.0.1', '--server-port', String(server.port)]
  const secrets: Record<string, string> = {}

  before(async () => {
    server = serverGround(roomy)
    await server.start()
    home = mkdtempSync(join(tmpdir(), 'tt-home-'))
    tokenFile = join(server.dir, 'data', 'token')
    tt = clientAt(home)
    for (const name of ['ann', 'bob']) await makeUser(name)
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(home, { recursive: true, force: true })
  })

  /** A user with a token; its secret stays here, as the server is told the sha256 only. */
  async function makeUser(name: string): Promise<void> {
    const secret = randomBytes(32).toString('hex')
    const put = async (path: string, spec: unknown) => {
      const headers = { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`, 'content-type': 'application/json' }
      const answer = await fetch(`http://127.0.0.1:${server.port}/v1/${path}`, { method: 'PUT', headers, body: JSON.stringify({ spec }) })
      assert.equal(answer.status, 200, await answer.text())
    }
    await put(`user/${name}`, { role: 'user' })
    await put(`token/${name}/laptop`, { sha256: createHash('sha256').update(secret).digest('hex') })
    secrets[name] = secret
  }

  it('A01: a dead address is refused and the old value kept; a server that answers is saved', async () => {
    const saved = await tt(['config', ...at(), '--token-file', tokenFile])
    assert.equal(saved.code, 0, saved.stderr)
    const path = join(home, '.config/tt/config.json')
    const kept = readFileSync(path, 'utf8')
    const began = Date.now()
    const dead = await tt(['config', '--server-addr', '127.0.0.1', '--server-port', '1'])
    assert.deepEqual([dead.code, readFileSync(path, 'utf8')], [14, kept])
    assert.match(dead.stderr, /no tt server answers at 127\.0\.0\.1:1/)
    assert.ok(Date.now() - began < 8000)
    assert.equal((await tt(['env', 'list'])).code, 0)
  })

  it('A02: both spellings of address and port are one', async () => {
    for (const words of [['--serv-addr', '127.0.0.1', '--serv-port', String(server.port)], at(), ['-a', '127.0.0.1', '-p', String(server.port)]]) {
      const said = await tt(['config', ...words, '--json'])
      assert.deepEqual([said.code, (JSON.parse(said.stdout) as { server: string }).server], [0, `127.0.0.1:${server.port}`], said.stderr)
    }
  })

  it('[A03 J01 J02] a name is an identity: the same name again has its ENVs again, another has not, a forged one has nothing', async () => {
    for (const name of ['ann', 'bob']) {
      const saved = await tt(['config', ...at(), '--client-id', name, '--token-file', '-'], { input: `${secrets[name]}\n` })
      assert.equal(saved.code, 0, saved.stderr)
      assert.match(saved.stdout, new RegExp(`you are ${name}`))
      const made = await tt(['env', 'add', `of-${name}`, '-s', 'micro'])
      assert.equal(made.code, 0, made.stderr)
    }
    const names = async (args: string[], env = {}) => {
      const said = await tt([...args, 'env', 'list', '--json'], { env })
      return said.code === 0 ? (JSON.parse(said.stdout) as { envs: { name: string }[] }).envs.map((env_) => env_.name) : said.stderr
    }
    assert.deepEqual(await names([]), ['of-bob'])
    for (let times = 0; times < 2; times++) {
      assert.equal((await tt(['config', '--client-id', 'ann'])).code, 0)
      assert.deepEqual(await names([]), ['of-ann'], 'the same name, the same ENVs')
    }
    assert.deepEqual(await names(['--client-id', 'bob']), ['of-bob'], 'for one call')
    assert.deepEqual(await names([], { TT_CLIENT_ID: 'bob' }), ['of-bob'])
    assert.match((await tt(['status'])).stdout, /^clientId +ann /m)
    assert.match(String(await names(['--client-id', 'admin'])), /no token under the name admin here; there are ann, bob/)
    for (const token of ['ann', 'bob', 'admin', `${secrets['ann']}0`, '0'.repeat(64)]) {
      const forged = await tt(['env', 'list'], { env: { TT_TOKEN: token } })
      assert.deepEqual([forged.code, forged.stdout], [4, ''], token)
    }
    const foreign = await tt(['env', 'del', 'of-bob'])
    assert.equal(foreign.code, 6, foreign.stderr)
    assert.deepEqual(await names(['--client-id', 'bob']), ['of-bob'])
    for (const name of ['ann', 'bob']) assert.equal((await tt(['--client-id', name, 'env', 'del', `of-${name}`])).code, 0)
  })

  it('A04: a server is found by address and by name', async () => {
    for (const address of ['127.0.0.1', 'localhost']) assert.equal((await tt(['config', '-a', address, '-p', String(server.port)])).code, 0, address)
    await using six = serverGround([...roomy, '--serv-addr', '::1'])
    const child = six.launch()
    const token = join(six.dir, 'data', 'server.json')
    for (let tries = 0; tries < 300 && !existsSync(token) && child.exitCode === null; tries++) await new Promise((resolve) => setTimeout(resolve, 50))
    const own = clientAt(mkdtempSync(join(home, 'six-')), { TT_DATA_DIR: join(six.dir, 'data') })
    for (const address of ['::1', '[::1]']) {
      const said = await own(['config', '-a', address, '-p', String(six.port)])
      assert.equal(said.code, 0, said.stderr)
    }
    assert.equal((await own(['env', 'list', '--server', `[::1]:${six.port}`])).code, 0)
  })

  it('[A05 fault 16] ~/.ssh is the same, byte for byte, whatever was done', async () => {
    const person = mkdtempSync(join(home, 'person-'))
    const ssh = join(person, '.ssh')
    mkdirSync(ssh, { mode: 0o700 })
    for (const [name, text] of Object.entries({ config: 'Host *\n  User me\n', id_ed25519: 'a key', 'id_ed25519.pub': 'its half', known_hosts: 'x ssh-ed25519 y\n', authorized_keys: '' })) writeFileSync(join(ssh, name), text, { mode: 0o600 })
    const before_ = contents(ssh)
    const own = clientAt(person, { TT_DATA_DIR: join(server.dir, 'data') })
    const lines = [
      ['config', ...at()], ['config', ...at(), '--token-file', tokenFile, '-n', 'me'], ['status'], ['status', '--server'], ['env', 'add', 'mine', '-s', 'micro', '-d', '2', '-p', '80'], ['env', 'add', 'mine', '-s', 'micro'],
      ['env', 'list'], ['env', 'show', 'mine'], ['env', 'run', 'mine', '-c', 'echo hello'], ['env', 'run', 'mine', '-m', '0', '--stdin', '-c', 'cat'], ['env', 'logs', 'mine'], ['env', 'update', 'mine', '-l', '1h'],
      ['env', 'stop', 'mine'], ['env', 'start', 'mine'], ['env', 'del', 'mine'], ['image', 'list'], ['doctor'], ['completion', 'bash'], ['config', '--forget', 'me'], ['nonsense'],
    ]
    const codes = new Map<string, number>()
    for (const line of lines) codes.set(line.slice(0, 2).join(' '), (await own(line)).code)
    for (const done of ['status --server', 'env list', 'env run', 'env update', 'env del', 'config --forget']) assert.equal(codes.get(done), 0, done)
    assert.deepEqual(contents(ssh), before_)
    assert.deepEqual(readdirSync(person).sort(), ['.config', '.ssh'], 'something else was written into the home')
  })

  it('A06: status asks nobody', async () => {
    let asked = 0
    const listener = createServer((socket) => (asked++, socket.destroy()))
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    const { port } = listener.address() as { port: number }
    const said = await tt(['status'], { env: { TT_SERVER: `127.0.0.1:${port}` } })
    assert.equal(said.code, 0, said.stderr)
    assert.match(said.stdout, new RegExp(`^server +127\\.0\\.0\\.1:${port} +TT_SERVER$`, 'm'))
    assert.match(said.stdout, /^clientId /m)
    assert.equal(asked, 0)
    listener.close()
  })

  it('A07: status --server shows what each host has and has given, and its images in order', async () => {
    assert.equal((await server.tt('env', 'add', 'counted', '-s', 'micro', '-d', '1', '-C', '2', '-M', '256', '-D', '512')).code, 0)
    const { hosts } = (await server.json('status', '--server')) as { hosts: { used: object; total: object; images: string[] }[] }
    assert.deepEqual(hosts.map(({ used }) => used), [{ cpu: 4, memMb: 512, diskMb: 1024, vms: 2 }])
    assert.deepEqual(hosts[0]?.images, hosts[0]?.images.toSorted())
    assert.ok((hosts[0]?.images.length ?? 0) > 0)
    const { stdout } = await server.tt('status', '--server')
    assert.match(stdout, /^HOST +STATE +VMS +CPU +MEMORY +DISK/m)
    assert.match(stdout, /online +2 +4 \/ \d+ +512 MB \/ .* 1 GB \/ /)
    assert.equal((await server.tt('env', 'del', 'counted')).code, 0)
  })

  it('A08: tables and JSON go to standard output, errors to standard error only', async () => {
    for (const line of [['env', 'list'], ['image', 'list'], ['status'], ['status', '--server'], ['flavor', 'list']]) {
      const plain = await server.tt(...line)
      assert.deepEqual([plain.code, plain.stderr], [0, ''], line.join(' '))
      assert.ok(plain.stdout.endsWith('\n') && !plain.stdout.includes('\u001b'), 'no ornament in a pipe')
      const json = await server.tt(...line, '--json')
      assert.equal(json.stderr, '')
      for (const text of json.stdout.trim().split('\n')) assert.equal(typeof JSON.parse(text), 'object')
    }
    for (const line of [['env', 'show', 'none'], ['env', 'fly'], ['env', 'add', 'a/b', '-s', 'micro']]) {
      const refused = await server.tt(...line)
      assert.deepEqual([refused.stdout, refused.code > 0], ['', true], line.join(' '))
      const json = await server.tt(...line, '--json')
      assert.equal(typeof (JSON.parse(json.stderr.trim()) as { error: { code: string } }).error.code, 'string')
    }
  })

  it('A09: one that failed among several is told by the exit status, a guest command by its own', async () => {
    assert.equal((await server.tt('env', 'add', 'one', '-s', 'micro', '-d', '1')).code, 0)
    const status = async (...args: string[]) => (await server.tt(...args)).code
    assert.deepEqual([await status('env', 'show', 'one'), await status('env', 'show', 'one', 'none'), await status('env', 'show', 'none', 'one')], [0, 6, 6])
    assert.deepEqual([await status('env', 'run', 'one', '-m', '0', '-c', 'true'), await status('env', 'run', 'one', '-m', '0', '-c', 'exit 42'), await status('env', 'run', 'one', '-c', 'false')], [0, 42, 1])
    assert.notEqual(await status('env', 'run', 'one', '-m', '9', '-c', 'true'), 0)
    assert.deepEqual([await status('env', 'stop', 'one', 'none'), await status('env', 'del', 'none', 'one')], [6, 6])
    assert.deepEqual((await server.json('env', 'list')) as unknown, { envs: [], missing: [] })
  })

  it('A10: a server that accepts and never answers is given up within 8 s, with a clear error', { timeout: 60_000 }, async () => {
    const sockets = new Set<Socket>()
    const silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    const lines = [['env', 'list'], ['env', 'show', 'x'], ['env', 'add', 'x', '-s', 'micro'], ['env', 'run', 'x', '-c', 'true'], ['env', 'del', 'x'], ['status', '--server'], ['config', '-a', '127.0.0.1', '-p', String(port)], ['config', '-a', '127.0.0.1', '-p', String(port), '--tls']]
    const key = `sha256//${'A'.repeat(42)}E=`
    const envs: Record<string, string>[] = [...lines.map(() => ({})), { TT_SERVER: `https://127.0.0.1:${port}`, TT_FINGERPRINT: key }]
    const began = Date.now()
    const said = await Promise.all([...lines, ['env', 'list']].map(async (line, at_) => ({ line, ...(await tt(line, { env: { TT_SERVER: `127.0.0.1:${port}`, ...envs[at_] } })), ms: Date.now() - began })))
    for (const { line, code, stderr, ms } of said) {
      assert.equal(code, 15, `${line.join(' ')}: ${stderr}`)
      assert.match(stderr, /did not answer within 8 s/, line.join(' '))
      assert.ok(ms < 12_000, `${line.join(' ')}: ${ms} ms, nine programs starting at once included`)
    }
    sockets.forEach((socket) => socket.destroy())
    silent.close()
  })

  it('[N06 J03] server and credentials come from the environment alone', async () => {
    const empty = mkdtempSync(join(home, 'empty-'))
    const said = await clientAt(empty)(['status', '--server', '--json'], { env: { TT_SERVER: `127.0.0.1:${server.port}`, TT_TOKEN: secrets['ann'] ?? '' } })
    assert.equal(said.code, 0, said.stderr)
    assert.equal((JSON.parse(said.stdout) as { server: { user: string } }).server.user, 'ann')
    assert.deepEqual(readdirSync(empty), [])
  })

  it('[J03 fault 28 fault 33] no secret is in an argument, in a log or in a file that others may read', async () => {
    const all = [readFileSync(tokenFile, 'utf8').trim(), ...Object.values(secrets)]
    const word = await tt(['config', ...at(), '--token', secrets['ann'] ?? ''])
    assert.equal(word.code, 2)
    assert.ok(!(word.stderr + word.stdout).includes(secrets['ann'] ?? '-'))
    assert.equal((await server.tt('env', 'add', 'slow', '-s', 'micro')).code, 0)
    const running = spawn(program, ['--client-id', 'ann', 'env', 'run', 'slow', '-c', 'sleep 3'], { env: { PATH: process.env['PATH'], HOME: home }, stdio: 'ignore' })
    await new Promise((resolve) => setTimeout(resolve, 700))
    const lines = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => (existsSync(`/proc/${pid}/cmdline`) ? readable(`/proc/${pid}/cmdline`) : ''))
    assert.ok(lines.some((line) => line.includes(join(server.dir, 'server.log'))), 'the server is among the processes looked at')
    for (const secret of all) assert.ok(!lines.some((line) => line.includes(secret)))
    running.kill('SIGKILL')
    for (const secret of all) assert.ok(!server.log().includes(secret))
    for (const dir of [join(home, '.config'), join(server.dir, 'data')]) {
      for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
        const path = join(dir, name)
        if (!lstatSync(path).isFile() || (lstatSync(path).mode & 0o077) === 0) continue
        assert.ok(!all.some((secret) => readFileSync(path, 'latin1').includes(secret)), `${path} may be read by others`)
      }
    }
    assert.ok(!readFileSync(join(home, '.config/tt/config.json'), 'utf8').includes(secrets['ann'] ?? '-'), 'settings hold no secret')
    const store = readdirSync(join(server.dir, 'data', 'store')).map((name) => readFileSync(join(server.dir, 'data', 'store', name), 'latin1'))
    for (const secret of all) assert.ok(!store.some((bytes) => bytes.includes(secret)), 'the server keeps hashes only')
    assert.equal((await server.tt('env', 'del', 'slow')).code, 0)
  })

  it('fault 26: what is asked for is made exactly, or refused by name', async () => {
    assert.equal((await server.tt('env', 'add', 'exact', '-s', 'micro', '-C', '3', '-M', '333', '-D', '1234', '-l', '1234', '-d', '2')).code, 0)
    const { envs } = (await server.json('env', 'show', 'exact')) as { envs: { created: string; expires: string; vms: { cpu: number; memMb: number; diskMb: number }[] }[] }
    assert.deepEqual(envs[0]?.vms.map(({ cpu, memMb, diskMb }) => [cpu, memMb, diskMb]), Array.from({ length: 3 }, () => [3, 333, 1234]))
    const lifeMs = Date.parse(envs[0]?.expires ?? '') - Date.parse(envs[0]?.created ?? '')
    assert.ok(Math.abs(lifeMs - 1_234_000) < 2000, String(lifeMs))
    const cases: [string[], RegExp][] = [[['-C', '65'], /65/], [['-M', '1'], /\b1\b/], [['-d', '10001'], /10001/], [['-l', '29'], /29/], [['-l', '99999999999'], /lifetime|99999999999/i], [['-p', '65536'], /65536/]]
    for (const [flags, why] of cases) {
      const { code, stderr } = await server.tt('env', 'add', 'over', '-s', 'micro', ...flags)
      assert.ok([2, 5, 11].includes(code), `${flags.join(' ')}: ${code} ${stderr}`)
      assert.match(stderr, why)
    }
    assert.deepEqual(((await server.json('env', 'list')) as { envs: { name: string }[] }).envs.map(({ name }) => name), ['exact'])
    assert.equal((await server.tt('env', 'del', 'exact')).code, 0)
  })

  it('a token that others may read is not read by others: its directory is closed too', () => {
    const tokens = join(home, '.config/tt/tokens')
    assert.equal(statSync(tokens).mode & 0o777, 0o700)
    for (const name of readdirSync(tokens)) assert.equal(statSync(join(tokens, name)).mode & 0o777, 0o600, name)
    chmodSync(tokens, 0o700)
  })
})

function readable(path: string): string {
  try {
    return readFileSync(path, 'utf8').replaceAll('\0', ' ')
  } catch {
    return '' // It ended meanwhile.
  }
}
