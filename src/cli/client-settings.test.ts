import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rehearse, type Stage } from './rehearsal.ts'

const unauthenticated = { code: 'unauthenticated', message: 'a valid token is needed' } as const
const kept = '{"server":"h8:2","token":"secret","clientId":"laptop"}'

const connectedTo = async (line: string, stage: Stage) => (await rehearse(line, stage)).connected

test('the server is that of the flag, the environment, the file, the default', async () => {
  const stage = { config: '{"server":"h3:3"}', variables: { TT_SERVER: 'h2' } }
  assert.equal((await connectedTo('env list --server h1:1', stage))[0]?.server, 'h1:1')
  assert.equal((await connectedTo('--server=[::1]:1 env list', stage))[0]?.server, '[::1]:1')
  assert.equal((await connectedTo('env list', stage))[0]?.server, 'h2:9527')
  assert.equal((await connectedTo('env list', { config: stage.config }))[0]?.server, 'h3:3')
  assert.equal((await connectedTo('env list', {}))[0]?.server, '127.0.0.1:9527')
})

test('tt status --server is a switch that may name a server', async () => {
  assert.equal((await connectedTo('status --server', {}))[0]?.server, '127.0.0.1:9527')
  assert.equal((await connectedTo('status --server=h1:1', {}))[0]?.server, 'h1:1')
  assert.equal((await connectedTo('--server h1:1 status -s', {}))[0]?.server, 'h1:1')
  assert.deepEqual(await connectedTo('status', {}), [])
})

test('a token in the file is sent to the server in the file and to no other', async () => {
  const tokenFor = async (stage: Stage) => (await connectedTo('env list', stage))[0]?.token
  assert.equal(await tokenFor({ config: kept }), 'secret')
  assert.equal(await tokenFor({ config: kept, variables: { TT_SERVER: 'h8:2' } }), 'secret')
  assert.equal(await tokenFor({ config: kept, variables: { TT_SERVER: 'h9:2' } }), '')
  assert.equal(await tokenFor({ config: kept, variables: { TT_SERVER: '127.0.0.1' }, tokens: { '127.0.0.1:9527': 'own' } }), 'own')
  assert.equal(await tokenFor({ config: kept, variables: { TT_SERVER: 'h9:2', TT_TOKEN: 'given' } }), 'given')
  assert.equal(await tokenFor({ config: '{"token":"secret"}' }), 'secret')
})

test('a token is shown nowhere', async () => {
  for (const line of ['status', 'status --json', 'config -n x']) {
    const { out, err, status } = await rehearse(line, { config: kept, variables: { TT_TOKEN: 'hunter2' } })
    assert.doesNotMatch(out + err, /secret|hunter2/)
    assert.equal(status, 0)
  }
})

for (const [what, stage, expected] of [
  ['that is no JSON', { config: '{"server":' }, /^tt: \/home\/ann\/.config\/tt\/config.json is not JSON/],
  ['with an unknown key', { config: '{"sever":"a"}' }, /unknown key "sever"; did you mean "server"\?/],
  ['with a wrong value', { config: '{"server":"a:70000"}' }, /server in \/home\/ann\/.config\/tt\/config.json is "a:70000", allowed is HOST or HOST:PORT/],
  ['that cannot be read', { config: new Error('EACCES: permission denied') }, /^tt: the settings in \/home\/ann\/.config\/tt\/config.json cannot be read: EACCES/],
] as const)
  for (const line of ['env list', 'config --serv-addr h1', 'status'])
    test(`${line}: a file of settings ${what} is refused and left as it is`, async () => {
      const { status, err, config, connected } = await rehearse(line, stage)
      assert.match(err, expected)
      assert.deepEqual([status, config, connected], [2, stage.config instanceof Error ? undefined : stage.config, []])
    })

test('a wrong variable is refused with its name', async () => {
  assert.match((await rehearse('env list', { variables: { TT_SERVER: 'a b' } })).err, /^tt: TT_SERVER is "a b", allowed is HOST or HOST:PORT/)
  assert.match((await rehearse('env list', { variables: { TT_SEVER: 'a' } })).err, /^tt: TT_SEVER is no setting; did you mean TT_SERVER\?/)
  assert.equal((await rehearse('env list', { variables: { TT_SERV_ADDR: 'a', TT_IMAGE_CACHE: 'b', TT_SERVER_CONFIG: 'c', TT_DRIVERS: '{}', TT_STORE: 'memory', TT_ENGINE: 'fake', TT_CRASH_AT: '1' } })).status, 0)
})

const written = ({ config = '' }: { config?: string }) => JSON.parse(config) as Record<string, unknown>

test('config saves a server that answered', async () => {
  const cases: [string, string][] = [
    ['--serv-addr h1 --serv-port 80', 'h1:80'],
    ['--server-addr 10.0.0.1 --server-port=80', '10.0.0.1:80'],
    ['-a ::1', '[::1]:9527'],
    ['-a [fd00::1] -p 1', '[fd00::1]:1'],
    ['-p 5', '127.0.0.1:5'],
  ]
  for (const [flags, server] of cases) {
    const played = await rehearse(`config ${flags}`)
    assert.deepEqual([played.status, written(played), played.connected[0]?.server], [0, { server }, server])
    assert.match(played.out, /answered: version 0.1.0, you are ann; saved/)
  }
})

test('config keeps what it had if the server does not answer, or does not know the token', async () => {
  const dead = await rehearse('config -a h1', { config: kept, refusals: { about: [{ code: 'unavailable', message: 'no tt server answers at h1:9527' }] } })
  assert.deepEqual([dead.status, dead.config], [14, kept])
  const refused = await rehearse('config -a h1 --token -', { config: kept, stdin: ['bad\n'], refusals: { about: [unauthenticated] } })
  assert.deepEqual([refused.status, refused.config], [4, kept])
  assert.match(refused.err, /h1:9527 does not know this token; nothing was saved/)
})

test('config says that a token is missing, and saves', async () => {
  const played = await rehearse('config -a h1', { refusals: { about: [unauthenticated] } })
  assert.deepEqual([played.status, written(played)], [0, { server: 'h1:9527' }])
  assert.match(played.err, /wants a token, and none is set\n {2}give it by `tt config --token-file FILE` or TT_TOKEN/)
})

test('config reads a token from a file or standard input, never from a word', async () => {
  const file = await rehearse('config -a h1 --token-file /t', { files: { '/t': ' abc \nmore' } })
  assert.deepEqual([written(file), file.connected[0]?.token], [{ server: 'h1:9527', token: 'abc' }, 'abc'])
  const input = await rehearse('config --token -', { config: '{"server":"h1:1"}', stdin: ['a', 'bc\n', 'more'] })
  assert.deepEqual(written(input), { server: 'h1:1', token: 'abc' })
  const word = await rehearse('config --token abc', {})
  assert.match(word.err, /--token takes only "-", standard input/)
  for (const token of ['', '\n', 'a b\n', 'ä\n', 'x'.repeat(1001)]) assert.equal((await rehearse('config --token -', { stdin: [token] })).status, 2)
  assert.match((await rehearse('config --token-file /none', {})).err, /the token cannot be read: ENOENT/)
})

test('another server forgets the token, the same keeps it', async () => {
  assert.deepEqual(written(await rehearse('config -a h9', { config: kept })), { server: 'h9:9527', clientId: 'laptop' })
  assert.deepEqual(written(await rehearse('config -a h8 -p 2', { config: kept })), { server: 'h8:2', token: 'secret', clientId: 'laptop' })
})

test('a name for the client is saved without asking anybody', async () => {
  const played = await rehearse('config --client-id desk', { config: kept })
  assert.deepEqual([written(played), played.connected], [{ server: 'h8:2', token: 'secret', clientId: 'desk' }, []])
})

for (const line of ['', '-p 70000', '-p 0', '-p x', '-a a:80', '-a http://a', '-a', '--token-file /a --token -', '-n='])
  test(`config ${line} is refused`, async () => {
    const { status, config, connected } = await rehearse(`config ${line}`, { config: kept, files: { '/a': 'x' } })
    assert.deepEqual([status, config, connected], [2, kept, []])
  })
