import assert from 'node:assert/strict'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { clientFiles } from './client-files.ts'

let home: string
beforeEach(() => (home = mkdtempSync(join(tmpdir(), 'tt-cli-'))))
afterEach(() => rmSync(home, { recursive: true }))

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

test('the settings lie where the environment says, else in the home', () => {
  assert.equal(clientFiles({ HOME: '/h' }).config.path, '/h/.config/tt/config.json')
  assert.equal(clientFiles({ HOME: '/h', XDG_CONFIG_HOME: '/x' }).config.path, '/x/tt/config.json')
  assert.equal(clientFiles({ HOME: '/h', TT_CONFIG: '/c.json' }).config.path, '/c.json')
})

test('[A05 J03] settings are written whole, for their owner alone, and nothing else is', () => {
  const { config } = clientFiles({ HOME: home })
  assert.equal(config.read(), undefined)
  config.write('one')
  config.write('two')
  const dir = join(home, '.config/tt')
  assert.deepEqual([config.read(), readdirSync(dir), mode(dir), mode(config.path), readdirSync(home)], ['two', ['config.json'], '700', '600', ['.config']])
})

test('[J03 fault 33] tokens are kept one to a file, apart from the settings, for their owner alone', () => {
  const { profiles, config } = clientFiles({ HOME: home })
  assert.deepEqual([profiles.names(), profiles.read('ann')], [[], undefined])
  profiles.write('ann', 'one')
  profiles.write('bob.2', 'two')
  const dir = join(home, '.config/tt/tokens')
  assert.deepEqual([profiles.names(), profiles.read('ann'), mode(dir), mode(join(dir, 'ann'))], [['ann', 'bob.2'], 'one', '700', '600'])
  writeFileSync(join(dir, '$(id)'), 'x')
  writeFileSync(join(dir, 'ann.7.new'), 'x')
  profiles.remove('ann')
  profiles.remove('ann')
  assert.deepEqual([profiles.names(), config.read()], [['bob.2'], undefined])
})

test('a file that others could read is not so any more once it was written', () => {
  const { config } = clientFiles({ TT_CONFIG: join(home, 'c') })
  writeFileSync(config.path, 'old', { mode: 0o644 })
  config.write('new')
  assert.equal(mode(config.path), '600')
})

test('a link to the settings stays a link', () => {
  writeFileSync(join(home, 'real'), 'old')
  symlinkSync('real', join(home, 'c'))
  clientFiles({ TT_CONFIG: join(home, 'c') }).config.write('new')
  assert.ok(lstatSync(join(home, 'c')).isSymbolicLink())
  assert.equal(readFileSync(join(home, 'real'), 'utf8'), 'new')
})

test('what cannot be written or read is an error, and leaves what was there', () => {
  mkdirSync(join(home, 'c'))
  const { config } = clientFiles({ TT_CONFIG: join(home, 'c') })
  assert.throws(() => config.write('new'))
  assert.throws(() => config.read(), /EISDIR/)
  assert.deepEqual(readdirSync(home), ['c'])
  writeFileSync(join(home, 'file'), 'x')
  assert.throws(() => clientFiles({ TT_CONFIG: join(home, 'file', 'c') }).config.write('new'))
})

const planted = (tokens: Record<string, string>) => {
  for (const [dir, token] of Object.entries(tokens)) {
    mkdirSync(join(home, dir), { recursive: true })
    writeFileSync(join(home, dir, 'token'), `${token}\n`)
  }
  return (host: string, port = 9527, env: Record<string, string> = {}) => clientFiles(env, home).ownToken({ host, port })?.token
}

test('the token of the server at this address is found, else that of one that listens everywhere', () => {
  const token = planted({ '127.0.0.1-9527': 'one', '0.0.0.0-9527': 'all', '127.0.0.1-9528': 'two', '__1-9529': 'six', '10.9.9.9-9530': 'far' })
  assert.deepEqual([token('127.0.0.1'), token('localhost'), token('127.0.0.1', 9528), token('::1', 9529), token('127.0.0.1', 9530), token('127.0.0.1', 9531)], ['one', 'all', 'two', 'six', 'far', undefined])
  assert.equal(token(hostname()), 'all')
})

test('J02: a token is never for a server elsewhere', () => {
  const token = planted({ '192.0.2.7-9527': 'one', 'example.org-9527': 'two', '127.example.org-9527': 'three' })
  assert.deepEqual([token('192.0.2.7'), token('example.org'), token('127.example.org'), token('192.0.2.7', 9527, { TT_DATA_DIR: join(home, '192.0.2.7-9527') })], [undefined, undefined, undefined, undefined])
})

test('the data directory of the environment is the only one looked into', () => {
  const token = planted({ '127.0.0.1-9527': 'one', elsewhere: 'two' })
  assert.equal(token('127.0.0.1', 9527, { TT_DATA_DIR: join(home, 'elsewhere') }), 'two')
  assert.equal(token('127.0.0.1', 9527, { TT_DATA_DIR: join(home, 'none') }), undefined)
})

test('what is no token is none', () => {
  const token = planted({ 'a-9527': '', 'b-9527': 'two words', 'c-9527': 'x'.repeat(1001), 'd-9527': 'good' })
  assert.equal(token('127.0.0.1'), 'good')
  assert.equal(clientFiles({}, join(home, 'none')).ownToken({ host: '127.0.0.1', port: 9527 }), undefined)
  assert.ok(existsSync(join(home, 'a-9527', 'token')))
})

test('J03: a server that runs with TLS on this machine is known by its fingerprint', () => {
  const key = `sha256//${'A'.repeat(42)}E=`
  const own = (state: string) => {
    mkdirSync(join(home, '127.0.0.1-9527'), { recursive: true })
    writeFileSync(join(home, '127.0.0.1-9527', 'token'), 'one\n')
    writeFileSync(join(home, '127.0.0.1-9527', 'server.json'), state)
    return clientFiles({}, home).ownToken({ host: '127.0.0.1', port: 9527 })
  }
  const path = join(home, '127.0.0.1-9527', 'token')
  assert.deepEqual(own(JSON.stringify({ pid: 1, fingerprint: key })), { token: 'one', path, fingerprint: key })
  for (const state of ['{"pid":1}', '{"fingerprint":"abc"}', 'x']) assert.deepEqual(own(state), { token: 'one', path }, state)
})
