import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Said, type ServerGround, serverGround } from './e2e/ground.ts'

const program = join(fileURLToPath(new URL('..', import.meta.url)), 'tt')

interface Env {
  name: string
  owner: string
  count: number | null
  phase: string | null
}

/** Programs as people call them, several people at one server: the client of each knows the server's address and one token, and nothing of the others. */
describe('users of a server', { timeout: 300_000 }, () => {
  let server: ServerGround
  before(async () => {
    server = serverGround(['--engine', 'fake', '--cpu-total', '100', '--mem-total', '100000', '--disk-total', '1000000'])
    await server.start()
    for (const [name, ...flags] of [['ann'], ['bob'], ['vera', '--role', 'viewer'], ['lisa', '--rights', 'listAll']]) {
      await well(admin('user', 'add', name ?? '', ...flags))
      const { stdout } = await well(admin('token', 'add', `${name}/first`))
      await well(as(name ?? '', ['config', '--client-id', name ?? '', '--token-file', '-'], { stdin: stdout }))
    }
  })
  after(() => server[Symbol.asyncDispose]())

  const admin = (...args: string[]) => server.tt(...args)
  const well = async (said: Promise<Said>): Promise<Said> => {
    const { code, stdout, stderr } = await said
    assert.equal(code, 0, `${stdout}${stderr}`)
    return { code, stdout, stderr }
  }
  const as = (name: string, args: string[], { stdin = '', variables = {} }: { stdin?: string; variables?: Record<string, string> } = {}) => {
    const { TT_DATA_DIR: _, TT_TOKEN: __, ...rest } = process.env
    const env = { ...rest, HOME: join(server.dir, name), TT_CONFIG: join(server.dir, name, 'config.json'), TT_DATA_DIR: join(server.dir, 'nothing'), TT_SERVER: `127.0.0.1:${server.port}`, ...variables }
    return new Promise<Said>((resolve) => {
      const child = spawn(program, args, { env, stdio: 'pipe' })
      let [stdout, stderr] = ['', '']
      child.stdout.on('data', (piece) => (stdout += String(piece)))
      child.stderr.on('data', (piece) => (stderr += String(piece)))
      child.on('close', (code) => resolve({ code: code ?? 255, stdout, stderr }))
      child.stdin.end(stdin)
    })
  }
  const ann = (...args: string[]) => as('ann', args)
  const bob = (...args: string[]) => as('bob', args)
  const envs = async (said: Promise<Said>) => (JSON.parse((await well(said)).stdout) as { envs: Env[] }).envs
  const small = ['-s', 'micro', '-C', '1', '-M', '128', '-D', '1024']

  it('J02: come in by a secret that was printed once, and by no name, guess or trace of it', async () => {
    assert.match((await well(ann('env', 'list'))).stdout, /^NAME/)
    const { stdout, stderr } = await well(admin('token', 'add', 'ann/spare', '--expires', '30d'))
    assert.match(stdout, /^[0-9a-f]{64}\n$/, 'the secret alone, so that it can be piped')
    assert.match(stderr, /ann\/spare/)
    const secret = stdout.trim()
    const call = (token: string) => as('eve', ['env', 'list'], { variables: { TT_TOKEN: token } })
    await well(call(secret))
    const { spec } = JSON.parse(await (await fetch(`http://127.0.0.1:${server.port}/v1/token/ann/spare`, { headers: { authorization: `Bearer ${readFileSync(join(server.dir, 'data', 'token'), 'utf8').trim()}` } })).text()) as { spec: { sha256: string } }
    for (const forged of ['ann', 'ann/spare', spec.sha256, secret.slice(0, -1), secret.toUpperCase(), `${secret}0`]) assert.equal((await call(forged)).code, 4, forged)
    assert.equal((await as('eve', ['env', 'list'])).code, 4, 'no token at all')
    assert.equal((await as('eve', ['env', 'list', '--client-id', 'ann'])).code, 6, 'a name that has no token here')
    const kept = [...readdirSync(join(server.dir, 'data', 'audit')).map((name) => readFileSync(join(server.dir, 'data', 'audit', name), 'utf8')), server.log(), ...readdirSync(join(server.dir, 'data', 'store')).map((name) => readFileSync(join(server.dir, 'data', 'store', name), 'latin1'))]
    assert.ok(!kept.join('').includes(secret), 'the server keeps it nowhere')
    await well(admin('token', 'del', 'ann/spare'))
    const revoked = await call(secret)
    assert.deepEqual([revoked.code, revoked.stdout], [4, ''])
  })

  it('J03: keep their secrets in files that only they can read, never in arguments', async () => {
    const { stdout } = await well(ann('token', 'add', 'laptop', '--expires', '12h'))
    await well(as('ann', ['config', '--client-id', 'laptop', '--token-file', '-'], { stdin: stdout }))
    await well(ann('env', 'list', '--client-id', 'laptop'))
    const refused = await ann('config', '--token', stdout.trim())
    assert.equal(refused.code, 2)
    assert.ok(!refused.stderr.includes(stdout.trim()), 'and it is not shown again')
    const files = readdirSync(join(server.dir, 'ann'), { recursive: true, encoding: 'utf8' }).map((name) => join(server.dir, 'ann', name)).filter((path) => statSync(path).isFile())
    assert.ok(files.some((path) => readFileSync(path, 'utf8').includes(stdout.trim())))
    for (const path of files) assert.equal(statSync(path).mode & 0o077, 0, path)
    await well(ann('token', 'del', 'laptop'))
    assert.equal((await ann('env', 'list', '--client-id', 'laptop')).code, 4)
    await well(ann('config', '--client-id', 'ann'))
  })

  it('N06: are known by the environment alone, server and token', async () => {
    const { stdout } = await well(ann('token', 'add', 'ci'))
    const variables = { TT_TOKEN: stdout.trim() }
    await well(as('machine', ['env', 'add', 'byci', ...small], { variables }))
    assert.deepEqual((await envs(ann('env', 'list', '--json'))).map(({ name, owner }) => [name, owner]), [['byci', 'ann']])
    assert.equal((await as('machine', ['env', 'list'], { variables: { ...variables, TT_SERVER: '127.0.0.1:1' } })).code, 14)
    assert.ok(!existsSync(join(server.dir, 'machine')), 'nothing was written')
    await well(as('machine', ['env', 'del', 'byci'], { variables }))
    await well(ann('token', 'del', 'ci'))
  })

  it("J01: see and change their own alone; fault 2: what is another's is refused as unknown, never a success", async () => {
    await well(ann('env', 'add', 'hers', ...small))
    const before = await envs(admin('env', 'show', 'hers', '--json'))
    const strange = [['show', 'hers'], ['del', 'hers'], ['stop', 'hers'], ['start', 'hers'], ['update', 'hers', '-l', '+1h'], ['update', 'hers', '--kick-vm', '0'], ['run', 'hers', '-c', 'true'], ['run', 'hers', '--', 'id'], ['logs', 'hers'], ['export', 'hers']]
    for (const words of strange) {
      const hidden = await bob('env', ...words)
      const never = await bob('env', ...words.map((word) => (word === 'hers' ? 'nevr' : word)))
      assert.deepEqual([hidden.code, hidden.stderr.replaceAll('hers', 'nevr')], [6, never.stderr], words.join(' '))
      assert.equal(never.code, 6, words.join(' '))
      assert.ok(!/deleted|stopped|started|ready/.test(hidden.stdout), hidden.stdout)
    }
    const taken = await bob('env', 'add', 'hers', ...small)
    assert.deepEqual([taken.code, /the name hers is taken/.test(taken.stderr)], [7, true], taken.stderr)
    assert.deepEqual(await envs(bob('env', 'list', '--json')), [])
    assert.deepEqual(await envs(bob('env', 'listall', '--json')), [])
    assert.deepEqual(await envs(admin('env', 'show', 'hers', '--json')), before, 'nothing of it has changed')
    await well(ann('env', 'del', 'hers'))
  })

  it('fault 1: are told when nothing matched, and nothing is reported as done', async () => {
    await well(ann('env', 'add', 'few', ...small))
    for (const words of [['run', 'few', '-m', '7', '-c', 'true'], ['run', 'few', '-s', 'windows', '-c', 'true'], ['logs', 'few', '-m', '7'], ['update', 'few', '--kick-vm', '7'], ['update', 'few', '--kick-os', 'windows'], ['add', 'more', '-s', 'windows']]) {
      const { code, stdout, stderr } = await ann('env', ...words)
      assert.deepEqual([code, stdout], [6, ''], `${words.join(' ')}: ${stderr}`)
    }
    for (const words of [['env', 'del', 'few', 'nothing'], ['user', 'show', 'nobody'], ['token', 'del', 'nothing'], ['task', 'cancel', 'abcd1234']]) assert.equal((await ann(...words)).code, 6, words.join(' '))
    assert.deepEqual((await envs(ann('env', 'list', '--json'))).map(({ name }) => name), [])
  })

  it("B06: list everybody's ENVs with their owners, each as far as they may", async () => {
    await well(ann('env', 'add', 'of-ann', ...small))
    await well(bob('env', 'add', 'of-bob', ...small, '-d', '1'))
    await well(as('lisa', ['env', 'add', 'of-lisa', ...small]))
    await well(admin('env', 'add', 'of-admin', ...small))
    const all = (said: Promise<Said>) => envs(said).then((found) => found.map(({ name, owner, count, phase }) => [name, owner, count, phase].join(' ')))
    const everything = ['of-admin admin 1 ready', 'of-ann ann 1 ready', 'of-bob bob 2 ready', 'of-lisa lisa 1 ready']
    assert.deepEqual(await all(admin('env', 'listall', '--json')), everything)
    assert.deepEqual(await all(as('vera', ['env', 'listall', '--json'])), everything)
    assert.deepEqual(await all(ann('env', 'listall', '--json')), ['of-ann ann 1 ready'])
    assert.deepEqual(await all(as('lisa', ['env', 'listall', '--json'])), ['of-admin admin 1 ', 'of-ann ann 1 ', 'of-bob bob 2 ', 'of-lisa lisa 1 ready'])
    const told = (await well(as('lisa', ['env', 'listall']))).stdout
    assert.deepEqual(told.split('\n').filter((line) => line.startsWith('of-')).map((line) => line.split(/ {2,}/).slice(0, 4).join(' ')), ['of-admin admin - 1', 'of-ann ann - 1', 'of-bob bob - 2', 'of-lisa lisa ready 1'])
    for (const [who, own] of [['ann', 'of-ann'], ['lisa', 'of-lisa']] as const) assert.deepEqual((await envs(as(who, ['env', 'list', '--json']))).map(({ name }) => name), [own])
    assert.deepEqual((await envs(admin('env', 'list', '--json'))).map(({ name }) => name), ['of-admin'])
    assert.deepEqual(await envs(as('vera', ['env', 'list', '--json'])), [])
    assert.equal((await as('lisa', ['env', 'show', 'of-bob'])).code, 6, 'who may list may not look closer')
    await well(as('vera', ['env', 'show', 'of-bob']))
    assert.equal((await as('vera', ['env', 'del', 'of-bob'])).code, 5)
  })

  it('J04: an admin acts on any ENV, and it is written down who did', async () => {
    await well(admin('env', 'stop', 'of-bob'))
    await well(admin('env', 'start', 'of-bob'))
    await well(admin('env', 'del', 'of-ann', 'of-bob', 'of-lisa', 'of-admin'))
    assert.deepEqual(await envs(admin('env', 'listall', '--json')), [])
    const { stdout } = await well(admin('audit', '-n', '1000'))
    assert.match(stdout, /^\S+Z {2}admin +remove env +env\/of-bob +ok$/m)
    assert.match(stdout, /^\S+Z {2}bob\/first +put env +env\/of-bob +ok$/m)
    assert.match(stdout, /^\S+Z {2}vera\/first +remove env +env\/of-bob +denied$/m)
    assert.match(stdout, /^\S+Z {2}bob\/first +remove env +env\/hers +not_found$/m)
    const entries = (await server.json('audit', '-n', '3')) as { entries: { time: string; request: string }[] }
    assert.equal(entries.entries.length, 3)
    assert.ok(server.log().includes(entries.entries[0]?.request ?? 'none'), 'the log names the same request')
    for (const who of ['ann', 'vera']) {
      const refused = await as(who, ['audit'])
      assert.deepEqual([refused.code, refused.stdout], [5, ''])
    }
  })

  it('D07: stay within the quota they were given, and are told what of it is left', async () => {
    await well(admin('user', 'update', 'ann', '--vms', '3', '--cpu-num', '2', '--mem-size', '1024'))
    await well(ann('env', 'add', 'two', ...small, '-d', '1'))
    const refused = await ann('env', 'add', 'third', ...small)
    assert.deepEqual([refused.code, /not enough cpu in the quota of ann: 2 cpus in all, 2 cpus used, 1 cpu wanted/.test(refused.stderr)], [11, true], refused.stderr)
    assert.match((await well(ann('user', 'list'))).stdout, /^ann +user +- +1 +2\/3 +2\/2 +256 MB\/1 GB +2 GB +-$/m)
    await well(admin('user', 'update', 'ann', '--cpu-num', 'none'))
    await well(ann('env', 'add', 'third', ...small))
    assert.equal((await ann('env', 'add', 'fourth', ...small)).code, 11, 'three VMs are the limit')
    await well(admin('user', 'update', 'ann', '--vms', '1'))
    await well(ann('env', 'update', 'two', '-l', '+1h'))
    await well(ann('env', 'del', 'two', 'third'))
    const { users } = (await server.json('user', 'show', 'ann')) as { users: { quota: object; used: object }[] }
    assert.deepEqual([users[0]?.quota, users[0]?.used], [{ cpu: null, memMb: 1024, diskMb: null, vms: 1 }, { cpu: 0, memMb: 0, diskMb: 0, vms: 0 }])
    await well(admin('user', 'update', 'ann', '--vms', 'none', '--mem-size', 'none'))
  })

  it('J06: names with anything else in them than letters, digits, "-" and "_" do nothing anywhere', async () => {
    const bad = ['$(touch tt-was-here)', '../ann', 'a/b/c', 'a;b', "a'b", 'a b', '-x', '%2e%2e', 'ä', 'x'.repeat(64)]
    const calls = [['user', 'add'], ['token', 'add']].flatMap((words) => bad.map((name) => [...words, '--', name]))
    for (const words of [...calls, ['user', 'del', '../ann'], ['user', 'update', '../ann', '--vms', '1'], ['user', 'show', '../ann'], ['token', 'del', '../ann'], ['token', 'add', 'ann/../bob']]) {
      const { code, stdout } = await admin(...words)
      assert.deepEqual([code, stdout], [2, ''], words.join(' '))
    }
    const { users } = (await server.json('user', 'list')) as { users: { name: string }[] }
    assert.deepEqual(users.map(({ name }) => name), ['ann', 'bob', 'lisa', 'vera'])
    assert.ok(!existsSync('tt-was-here'))
  })

  it('go when an admin deletes them, not before their ENVs', async () => {
    await well(bob('env', 'add', 'last', ...small))
    const refused = await admin('user', 'del', 'bob')
    assert.deepEqual([refused.code, /bob has 1 ENV, the first last/.test(refused.stderr)], [8, true], refused.stderr)
    await well(bob('env', 'del', 'last'))
    await well(admin('user', 'del', 'bob'))
    assert.equal((await bob('env', 'list')).code, 4)
    await well(admin('user', 'add', 'bob'))
    assert.equal((await bob('env', 'list')).code, 4, 'a new bob has nothing of the old one')
  })
})
