import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rehearse, type Stage } from './rehearsal.ts'

const kept = '{"server":"h8:2","clientId":"ann"}'
const profiles = { ann: '{"server":"h8:2","token":"secret"}', bob: '{"server":"https://h9","token":"bobs"}'.replace('h9"', 'h9:2"') }
const pinned = `sha256//${'A'.repeat(42)}E=`

const connectedTo = async (line: string, stage: Stage) => (await rehearse(line, stage)).connected

test('A04: the server is that of the flag, the environment, the file, the default', async () => {
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

test('[J02 A03] a token is sent to the server it is for and to no other', async () => {
  const tokenFor = async (stage: Stage) => (await connectedTo('env list', { profiles, ...stage }))[0]?.token
  assert.equal(await tokenFor({ config: kept }), 'secret')
  assert.equal(await tokenFor({ config: kept, variables: { TT_SERVER: 'h8:2' } }), 'secret')
  assert.equal(await tokenFor({ config: kept, variables: { TT_SERVER: 'https://h8:2' } }), 'secret')
  assert.equal(await tokenFor({ config: kept, variables: { TT_SERVER: 'h9:2' } }), '')
  assert.equal(await tokenFor({ config: kept, variables: { TT_SERVER: '127.0.0.1' }, tokens: { '127.0.0.1:9527': 'own' } }), 'own')
  assert.equal(await tokenFor({ config: '{"server":"h8:2"}' }), '', 'a profile that nobody named')
})

test('N06: server, token and fingerprint may come from the environment', async () => {
  const variables = { TT_SERVER: 'https://h7:1', TT_TOKEN: 'given', TT_FINGERPRINT: pinned }
  assert.deepEqual(await connectedTo('env list', { variables }), [{ server: 'https://h7:1', token: 'given', fingerprint: pinned }])
  assert.deepEqual(await connectedTo('env list', { variables: { TT_CLIENT_ID: 'bob' }, profiles }), [{ server: 'https://h9:2', token: 'bobs' }])
  assert.match((await rehearse('env list', { variables: { TT_FINGERPRINT: 'abc' } })).err, /TT_FINGERPRINT is "abc", allowed is the SHA-256 of a public key/)
})

test('a name chooses a token and its server for one call, by flag before variable before file', async () => {
  const stage = { config: kept, profiles, variables: { TT_CLIENT_ID: 'bob' } }
  const of = async (line: string, more: Stage = {}) => {
    const [one] = await connectedTo(line, { ...stage, ...more })
    return [one?.server, one?.token]
  }
  assert.deepEqual(await of('env list'), ['https://h9:2', 'bobs'])
  assert.deepEqual(await of('--client-id ann env list'), ['h8:2', 'secret'])
  assert.deepEqual(await of('env list --client-id=bob', { variables: { TT_TOKEN: 'given' } }), ['https://h9:2', 'bobs'])
  assert.deepEqual(await of('env list', { variables: { TT_CLIENT_ID: 'bob', TT_TOKEN: 'given' } }), ['https://h9:2', 'given'])
  assert.deepEqual(await of('env list --server h9:2', stage), ['h9:2', 'bobs'])
})

test('J02: a name that is not there is refused and the ones that are there are named; a name alone is no identity', async () => {
  for (const line of ['env list --client-id carl', 'status --client-id carl', 'config --client-id carl']) {
    const { status, err, connected } = await rehearse(line, { profiles })
    assert.deepEqual([status, connected], [6, []], line)
    assert.match(err, /^tt: there is no token under the name carl here; there are ann, bob \(not_found\)\n {2}save one by `tt config --client-id carl --token-file FILE`/)
  }
  assert.match((await rehearse('env list', { config: '{"clientId":"carl"}' })).err, /carl here; there is none at all/)
  assert.equal((await rehearse('env list --client-id ../ann', { profiles })).status, 2)
  const elsewhere = await rehearse('env list --client-id bob --server h8:2', { profiles })
  assert.deepEqual([elsewhere.status, elsewhere.connected], [2, []])
  assert.match(elsewhere.err, /the token bob is for h9:2 and is sent to no other server/)
})

test('[J03 J02] a token is shown nowhere', async () => {
  for (const line of ['status', 'status --json', 'config -n ann', 'env list --client-id nobody']) {
    const { out, err } = await rehearse(line, { config: kept, profiles, variables: { TT_TOKEN: 'hunter2' } })
    assert.doesNotMatch(out + err, /secret|hunter2|bobs/)
  }
  const broken = await rehearse('env list', { config: kept, profiles: { ann: '{"server":"h8:2","token":"two words"}' } })
  assert.match(broken.err, /tokens\/ann holds no token/)
  assert.doesNotMatch(broken.err, /two words/)
})

test('fault 33: settings hold no token, and a file of settings with one is refused', async () => {
  const { status, err, connected } = await rehearse('env list', { config: '{"server":"h8:2","token":"secret"}' })
  assert.deepEqual([status, connected], [2, []])
  assert.match(err, /unknown key "token"; known are server, clientId, pins/)
  assert.doesNotMatch(err, /secret/)
})

test('J03: a server whose fingerprint is known is asked by TLS and by that key alone', async () => {
  const own = { tokens: { '127.0.0.1:9527': 'own' }, fingerprints: { '127.0.0.1:9527': pinned } }
  assert.deepEqual(await connectedTo('env list', own), [{ server: 'https://127.0.0.1:9527', token: 'own', fingerprint: pinned }])
  const config = JSON.stringify({ server: 'https://h8:2', pins: { 'h8:2': pinned, 'h9:1': pinned } })
  assert.deepEqual(await connectedTo('env list', { config }), [{ server: 'https://h8:2', token: '', fingerprint: pinned }])
  assert.deepEqual(await connectedTo('env list --server h9:1', { config }), [{ server: 'https://h9:1', token: '', fingerprint: pinned }])
  assert.deepEqual(await connectedTo('env list --server http://h9:1', { config }), [{ server: 'http://h9:1', token: '', fingerprint: pinned }])
  assert.deepEqual(await connectedTo('env list --server h7', { config }), [{ server: 'h7:9527', token: '' }])
  assert.equal((await rehearse('status', { config: '{"pins":{"h8:2":"abc"}}' })).status, 2)
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
