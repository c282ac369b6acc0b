import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rehearse, type Stage } from '../rehearsal.ts'

const unauthenticated = { code: 'unauthenticated', message: 'a valid token is needed' } as const
const kept = '{"server":"h8:2","clientId":"ann"}'
const profiles = { ann: '{"server":"h8:2","token":"secret","user":"ann"}', bob: '{"server":"h9:2","token":"bobs"}' }
const key = `sha256//${'A'.repeat(42)}E=`
const otherKey = `sha256//${'B'.repeat(42)}E=`

const written = ({ config = '' }: { config?: string }) => JSON.parse(config) as Record<string, unknown>
const profile = (text = '{}') => JSON.parse(text) as Record<string, unknown>

test('[A01 A02 A04] config saves a server that answered, in either spelling, by address or name', async () => {
  const cases: [string, string][] = [
    ['--serv-addr h1 --serv-port 80', 'h1:80'],
    ['--server-addr 10.0.0.1 --server-port=80', '10.0.0.1:80'],
    ['--server-addr h1', 'h1:9527'],
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

test('A01: config keeps what it had if the server does not answer, or does not know the token', async () => {
  const stage = { config: kept, profiles }
  const dead = await rehearse('config -a h1', { ...stage, refusals: { about: [{ code: 'unavailable', message: 'no tt server answers at h1:9527' }] } })
  assert.deepEqual([dead.status, dead.config, dead.profiles], [14, kept, profiles])
  const refused = await rehearse('config -a h1 --token -', { ...stage, stdin: ['bad\n'], refusals: { about: [unauthenticated] } })
  assert.deepEqual([refused.status, refused.config, refused.profiles], [4, kept, profiles])
  assert.match(refused.err, /h1:9527 does not know this token; nothing was saved/)
})

test('config says that a token is missing, and saves', async () => {
  const played = await rehearse('config -a h1', { refusals: { about: [unauthenticated] } })
  assert.deepEqual([played.status, written(played)], [0, { server: 'h1:9527' }])
  assert.match(played.err, /wants a token, and none is set\n {2}give it by `tt config --token-file FILE` or TT_TOKEN/)
})

test('[J03 fault 28] config reads a token from a file or standard input, never from a word', async () => {
  const file = await rehearse('config -a h1 --token-file /t', { files: { '/t': ' abc \nmore' } })
  assert.deepEqual([written(file), profile(file.profiles.default), file.connected[0]?.token], [{ server: 'h1:9527', clientId: 'default' }, { server: 'h1:9527', token: 'abc', user: 'ann' }, 'abc'])
  for (const flags of ['--token -', '--token-file -']) {
    const input = await rehearse(`config ${flags}`, { config: '{"server":"h1:1"}', stdin: ['a', 'bc\n', 'more'] })
    assert.deepEqual([written(input), profile(input.profiles.default).token], [{ server: 'h1:1', clientId: 'default' }, 'abc'])
  }
  const word = await rehearse('config --token abc', {})
  assert.match(word.err, /--token takes only "-", standard input/)
  assert.deepEqual([word.status, word.connected, word.config], [2, [], undefined])
  for (const token of ['', '\n', 'a b\n', 'ä\n', 'x'.repeat(1001)]) assert.equal((await rehearse('config --token -', { stdin: [token] })).status, 2)
  assert.match((await rehearse('config --token-file /none', {})).err, /the token cannot be read: ENOENT/)
})

test('A03: a name keeps a token; the same name again is the same identity, without asking anybody', async () => {
  const first = await rehearse('config -a h1 --client-id ann --token -', { stdin: ['anns\n'] })
  assert.deepEqual([written(first), profile(first.profiles.ann)], [{ server: 'h1:9527', clientId: 'ann' }, { server: 'h1:9527', token: 'anns', user: 'ann' }])
  const second = await rehearse('config -a h2 --client-id bob --token -', { config: first.config, profiles: first.profiles, stdin: ['bobs\n'], about: { user: 'bob' } })
  assert.deepEqual([written(second), Object.keys(second.profiles)], [{ server: 'h2:9527', clientId: 'bob' }, ['ann', 'bob']])
  const back = await rehearse('config --client-id ann', { config: second.config, profiles: second.profiles })
  assert.deepEqual([written(back), back.connected], [{ server: 'h1:9527', clientId: 'ann' }, []])
  assert.deepEqual((await rehearse('env list', { config: back.config, profiles: back.profiles })).connected, [{ server: 'h1:9527', token: 'anns' }])
})

test('the name may stand before the words too, and once only', async () => {
  assert.deepEqual(written(await rehearse('--client-id bob config', { config: kept, profiles })), { server: 'h9:2', clientId: 'bob' })
  assert.equal((await rehearse('--client-id bob config --client-id ann', { config: kept, profiles })).status, 2)
})

test('A03: a name that becomes another identity says so', async () => {
  const played = await rehearse('config -a h8 -p 2 -n ann --token -', { config: kept, profiles, stdin: ['new\n'], about: { user: 'carl' } })
  assert.match(played.err, /ann was ann at h8:2 until now/)
  assert.deepEqual(profile(played.profiles.ann), { server: 'h8:2', token: 'new', user: 'carl' })
  const renewed = await rehearse('config --token -', { config: kept, profiles, stdin: ['new\n'] })
  assert.deepEqual([renewed.err, profile(renewed.profiles.ann).token], ['', 'new'])
})

test('another server leaves the name behind, the same keeps it; a token goes to its own server only', async () => {
  const stage = { config: kept, profiles }
  const away = await rehearse('config -a h7', stage)
  assert.deepEqual([written(away), away.connected[0]?.token], [{ server: 'h7:9527' }, ''])
  const same = await rehearse('config -a h8 -p 2', stage)
  assert.deepEqual([written(same), same.connected[0]?.token], [{ server: 'h8:2', clientId: 'ann' }, 'secret'])
  const both = await rehearse('config -a h7 --client-id bob', stage)
  assert.deepEqual([both.status, both.config, both.connected], [2, kept, []])
  assert.match(both.err, /the token bob is for h9:2 and is sent to no other server/)
})

test('a token is forgotten by its name', async () => {
  const played = await rehearse('config --forget ann', { config: kept, profiles })
  assert.deepEqual([played.status, written(played), Object.keys(played.profiles)], [0, { server: 'h8:2' }, ['bob']])
  assert.equal((await rehearse('config --forget carl', { config: kept, profiles })).status, 6)
})

test('J03: a certificate nobody vouches for is shown and not saved, unless its fingerprint is given or trusted', async () => {
  const stage: Stage = { config: kept, profiles, shown: { 'https://h1:9527': { fingerprint: key, untrusted: 'self-signed' } } }
  const unknown = await rehearse('config -a h1 --tls', stage)
  assert.deepEqual([unknown.status, unknown.config, unknown.connected], [5, kept, []])
  assert.match(unknown.err, /is not trusted \(self-signed\); the fingerprint of its key is sha256\/\/A+E=; nothing was saved \(denied\)\n {2}compare it .* --fingerprint sha256\/\/A+E=/)
  const given = await rehearse(`config -a h1 --fingerprint ${key}`, stage)
  const expected = { server: 'https://h1:9527', pins: { 'h1:9527': key } }
  assert.deepEqual([written(given), given.connected], [expected, [{ server: 'https://h1:9527', token: '', fingerprint: key }]])
  assert.match(given.out, /its key is sha256/)
  assert.deepEqual(written(await rehearse('config -a h1 --tls --trust', stage)), expected)
  assert.deepEqual(written(await rehearse(['config', '-a', 'h1', '--fingerprint', Buffer.from(key.slice(8), 'base64').toString('hex').replace(/..(?=.)/g, '$&:').toUpperCase()], stage)), expected)
  assert.equal((await rehearse('config -a h1 --fingerprint abc', stage)).status, 2)
})

test('J03: a pin holds until another fingerprint is given, and goes when TLS does', async () => {
  const stage: Stage = { config: JSON.stringify({ server: 'https://h1:9527', pins: { 'h1:9527': key } }), shown: { 'https://h1:9527': { fingerprint: otherKey } } }
  for (const line of ['config -a h1', 'config -a h1 --tls', 'config --tls']) assert.deepEqual((await rehearse(line, stage)).connected, [{ server: 'https://h1:9527', token: '', fingerprint: key }], line)
  assert.deepEqual(written(await rehearse(`config -a h1 --fingerprint ${otherKey}`, stage)), { server: 'https://h1:9527', pins: { 'h1:9527': otherKey } })
  assert.deepEqual(written(await rehearse('config -a h1 --no-tls', stage)), { server: 'h1:9527' })
  assert.equal((await rehearse('config -a h1 --no-tls --tls', stage)).status, 2)
})

test('J03: a certificate an authority vouches for needs no pin; a server of this machine none either', async () => {
  const public_ = await rehearse('config -a h1 --tls', { shown: { 'https://h1:9527': { fingerprint: key } } })
  assert.deepEqual([written(public_), public_.connected], [{ server: 'https://h1:9527' }, [{ server: 'https://h1:9527', token: '' }]])
  const own = await rehearse('config -p 9527', { tokens: { '127.0.0.1:9527': 'own', 'https://127.0.0.1:9527': 'own' }, fingerprints: { '127.0.0.1:9527': key, 'https://127.0.0.1:9527': key } })
  assert.deepEqual([written(own), own.connected], [{ server: 'https://127.0.0.1:9527' }, [{ server: 'https://127.0.0.1:9527', token: 'own', fingerprint: key }]])
})

for (const line of ['', '-p 70000', '-p 0', '-p x', '-a a:80', '-a http://a', '-a', '--token-file /a --token -', '-n=', '-n ../x', '-n .x', '--forget a/b'])
  test(`config ${line} is refused`, async () => {
    const { status, config, connected } = await rehearse(`config ${line}`, { config: kept, profiles, files: { '/a': 'x' } })
    assert.deepEqual([status, config, connected], [2, kept, []])
  })
