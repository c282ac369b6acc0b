import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it, test } from 'node:test'
import { type Said, type ServerGround, serverGround } from './e2e/ground.ts'

const roomy = ['--engine', 'fake', '--cpu-total', '1000', '--mem-total', '100000', '--disk-total', '1000000']

describe('bad input to a server and its client', () => {
  let server: ServerGround
  before(async () => {
    server = serverGround(['--engine', 'fake', '--cpu-total', '16', '--mem-total', '4096', '--disk-total', '100000'])
    await server.start()
  })
  after(() => server[Symbol.asyncDispose]())

  const add = (name: string, ...flags: string[]) => ['env', 'add', name, ...(flags.some((flag) => flag.startsWith('-s') || flag.startsWith('--os')) ? [] : ['-s', 'micro']), ...flags]
  const cases: [what: string, args: string[], code: number, why: RegExp][] = [
    ['an unknown prefix', add('x', '-s', 'windows'), 6, /no image begins with "windows"/],
    ['an empty prefix', add('x', '--os-prefix='), 2, /prefix/],
    ['a name with a slash', add('a/b'), 2, /"a\/b" is not an ENV name: it contains "\/"/],
    ['dots for a name', add('..'), 2, /is not an ENV name/],
    ['200 characters', add('x'.repeat(200)), 2, /200 characters, 63 are allowed/],
    ['shell text for a name', add('$(touch /tmp/tt-was-here)'), 2, /is not an ENV name/],
    ['no cpus', add('x', '-C', '0'), 2, /0/],
    ['a thousand million cpus', add('x', '-C', '1000000000'), 2, /1000000000/],
    ['no memory', add('x', '-M', '0'), 2, /0/],
    ['a port that is none', add('x', '-p', '70000'), 2, /70000/],
    ['a life time of 5', add('x', '-l', '5'), 2, /5/],
    ['more memory than there is', add('x', '-M', '3000', '-d', '1'), 11, /not enough memory: 4 GB in all, 0 MB used, 5\.9 GB wanted/],
    ['one VM larger than the host', add('x', '-M', '5000'), 11, /largest host has 4 GB/],
    ['too many copies', add('x', '-d', '10001'), 2, /10001/],
    ['a number that is none', add('x', '-C', 'two'), 2, /two/],
    ['an unknown flag', add('x', '--colour', 'red'), 2, /--colour/],
    ['a command without one', ['env', 'run', 'x', '--cmd', ''], 2, /empty|command/],
    ['an unknown ENV', ['env', 'del', 'nobody'], 6, /nobody/],
    ['an unknown command', ['env', 'fly'], 2, /fly/],
  ]
  for (const [what, args, code, why] of cases) {
    it(`${what} is refused in one clear line, and nothing changes`, async () => {
      const said = await server.tt(...args)
      assert.equal(said.code, code, said.stderr)
      assert.equal(said.stdout, '')
      assert.match(firstLine(said), why)
      assert.ok(said.stderr.trim().split('\n').length <= 3, said.stderr)
      const { envs } = (await server.json('env', 'list')) as { envs: unknown[] }
      assert.deepEqual(envs, [])
    })
  }

  it('[B02] a name in use is refused and the ENV there is untouched', async () => {
    const made = await server.tt(...add('twice'))
    assert.equal(made.code, 0, made.stderr)
    const before = await server.json('env', 'show', 'twice')
    const again = await server.tt(...add('twice', '-M', '256'))
    assert.equal(again.code, 7, again.stderr)
    assert.match(firstLine(again), /there is an ENV twice already/)
    assert.deepEqual(await server.json('env', 'show', 'twice'), before)
    const both = await server.tt('env', 'del', 'nobody', 'twice')
    assert.equal(both.code, 6)
    assert.deepEqual(((await server.json('env', 'list')) as { envs: unknown[] }).envs, [], 'the second was deleted although the first failed')
  })

  it('J02: answers nothing but /ping without a token', async () => {
    const at = (path: string, headers = {}) => fetch(`http://127.0.0.1:${server.port}${path}`, { headers })
    assert.equal((await at('/ping')).status, 200)
    for (const path of ['/version', '/v1', '/v1/env', '/v1/openapi.json', '/metrics', '/nothing']) {
      assert.equal((await at(path)).status, 401, path)
      assert.equal((await at(path, { authorization: `Bearer ${'0'.repeat(64)}` })).status, 401, path)
    }
  })

  it('J03: keeps its token to itself', () => {
    const token = join(server.dir, 'data', 'token')
    assert.equal(statSync(token).mode & 0o777, 0o600)
    for (const name of ['journal.ndjson', 'store/store.sqlite']) assert.equal(statSync(join(server.dir, 'data', name)).mode & 0o077, 0, name)
    assert.ok(!server.log().includes(readFileSync(token, 'utf8').trim()))
  })
})

test('A01: a server that is not there is said to be not there, soon, and settings stay as they were', async () => {
  await using server = serverGround(roomy)
  await server.start()
  assert.equal((await server.tt('config', '--serv-addr', '127.0.0.1', '--serv-port', String(server.port))).code, 0)
  const kept = readFileSync(join(server.dir, 'config.json'), 'utf8')
  const began = Date.now()
  const dead = await server.tt('config', '--serv-addr', '127.0.0.1', '--serv-port', '1')
  assert.equal(dead.code, 14, dead.stderr)
  assert.ok(Date.now() - began < 8000)
  assert.equal(readFileSync(join(server.dir, 'config.json'), 'utf8'), kept)
})

test('[H02] two servers on one machine need no further flag', async () => {
  await using one = serverGround(roomy)
  await using two = serverGround(roomy)
  await Promise.all([one.start(), two.start()])
  assert.notEqual(one.mark(), two.mark())
  for (const server of [one, two]) {
    const made = await server.tt('env', 'add', 'same', '-s', 'micro')
    assert.equal(made.code, 0, made.stderr)
  }
  const refused = one.launch()
  await one.gone()
  assert.notEqual(refused.exitCode, 0, 'one data directory has one server')
})

test('[H13] what was acknowledged is there after kill -9, and the store knows no other end', { timeout: 60_000 }, async () => {
  await using server = serverGround(roomy)
  await server.start()
  for (const name of ['a', 'b', 'c']) assert.equal((await server.tt('env', 'add', name, '-s', 'micro', '-d', '2')).code, 0)
  await server.stop('SIGKILL')
  await server.start()
  const { envs } = (await server.json('env', 'list')) as { envs: { name: string; phase: string; ready: number }[] }
  assert.deepEqual(envs.map(({ name, phase, ready }) => [name, phase, ready]), [['a', 'ready', 3], ['b', 'ready', 3], ['c', 'ready', 3]])
  for (const name of ['a', 'b', 'c']) assert.equal((await server.tt('env', 'del', name)).code, 0)
  assert.equal((await server.tt('doctor', '--leaks')).code, 0)
})

test('[B04] an ENV whose VM cannot be made fails as a whole, says why, and gives everything back', { timeout: 60_000 }, async () => {
  await using server = serverGround([...roomy, '--drivers', JSON.stringify({ engine: { fake: { failStart: ['*.2'] } } })])
  await server.start()
  const added = await server.tt('env', 'add', 'bad', '-s', 'micro', '-d', '3')
  assert.equal(added.code, 12, added.stderr)
  assert.match(added.stderr, /bad\.2.*told not to start/s)
  const status = (await server.json('status', '--server')) as { hosts: { used: { vms: number } }[] }
  for (let tries = 0; tries < 50; tries++) {
    const { hosts } = (await server.json('status', '--server')) as typeof status
    if (hosts[0]?.used.vms === 0) break
    assert.ok(tries < 49, 'its VMs were not given back')
  }
  assert.equal((await server.tt('env', 'add', 'bad', '-s', 'micro')).code, 0, 'the name is free again')
  assert.equal((await server.tt('doctor', '--leaks')).code, 0)
})

test('[B16] an ENV ends by itself at its end', { timeout: 60_000, skip: process.env['TT_SOAK'] === '1' ? false : 'it waits out the shortest life there is, 30 s: TT_SOAK=1' }, async () => {
  await using server = serverGround(roomy)
  await server.start()
  assert.equal((await server.tt('env', 'add', 'short', '-s', 'micro', '-l', '30')).code, 0)
  const list = async () => ((await server.json('env', 'list')) as { envs: { name: string }[] }).envs.length
  assert.equal(await list(), 1)
  await new Promise((resolve) => setTimeout(resolve, 28_000))
  assert.equal(await list(), 1, 'not before its time')
  await new Promise((resolve) => setTimeout(resolve, 5000))
  assert.equal(await list(), 0)
})

test('a connection that says nothing keeps nobody from being answered', async () => {
  await using server = serverGround(roomy)
  await server.start()
  const silent = Array.from({ length: 50 }, () => connect(server.port, '127.0.0.1'))
  assert.equal((await server.tt('env', 'list')).code, 0)
  silent.forEach((socket) => socket.destroy())
})

const firstLine = ({ stderr }: Said) => stderr.split('\n')[0] ?? ''
