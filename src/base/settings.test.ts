import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments } from './arguments.ts'
import { endpoint, listOf, oneOf, text, whole, yesNo } from './setting-forms.ts'
import { flagsOf, originText, type Schema, settingRows, settle, type Sources } from './settings.ts'

const schema = {
  port: { form: whole(1, 65_535), default: 9527, env: 'TT_PORT', flag: { long: 'serv-port', also: ['server-port'], value: 'PORT' }, about: 'Where it listens' },
  level: { form: oneOf('info', 'warn'), default: 'info', env: 'TT_LEVEL', about: 'What is logged' },
  paths: { form: listOf(text('a path')), default: [] as string[], env: 'TT_PATHS', flag: { long: 'path', value: 'DIR', list: 'commas' }, about: 'Where images lie' },
  vnc: { form: yesNo(), default: false, flag: { long: 'vnc' }, about: 'Whether there are screens' },
  token: { form: text('a token'), env: 'TT_TOKEN', secret: true, about: 'A secret' },
  server: { form: endpoint(9527), about: 'Another' },
  config: { form: text('a path'), env: 'TT_CONFIG', file: false, about: 'The file' },
} satisfies Schema

const flags = (line: string): Sources['flags'] => parseArguments(line.split(' '), flagsOf(schema)).given
const env = (variables: Record<string, string>): Sources['env'] => ({ variables, prefix: 'TT_' })
const file = (value: unknown): Sources['file'] => ({ path: '/etc/tt.json', text: typeof value === 'string' ? value : JSON.stringify(value) })

test('[L05] the first of flag, environment, file and default that has a value gives it, and says so', () => {
  const all = { flags: flags('--server-port 4'), env: env({ TT_PORT: '3' }), file: file({ port: 2 }) }
  const cases: [Sources, number, string][] = [
    [all, 4, '--serv-port'],
    [{ env: all.env, file: all.file }, 3, 'TT_PORT'],
    [{ file: all.file }, 2, '/etc/tt.json'],
    [{}, 9527, 'default'],
    [{ env: env({ TT_PORT: '' }), file: { path: '/none' } }, 9527, 'default'],
  ]
  for (const [sources, value, origin] of cases) {
    const { values, origins } = settle(schema, sources)
    assert.deepEqual([values.port, originText(origins.port)], [value, origin])
  }
})

test('what nobody gives and has no default is undefined', () => {
  const { values, origins } = settle(schema, {})
  assert.equal(values.token, undefined)
  assert.equal(originText(origins.token), 'not set')
})

test('lists and switches read alike from everywhere', () => {
  assert.deepEqual(settle(schema, { flags: flags('--path a --path b,c') }).values.paths, ['a', 'b', 'c'])
  assert.deepEqual(settle(schema, { env: env({ TT_PATHS: 'a,b' }) }).values.paths, ['a', 'b'])
  assert.deepEqual(settle(schema, { file: file({ paths: ['a,b'] }) }).values.paths, ['a,b'])
  assert.deepEqual([flags('--vnc'), flags('--vnc=no'), undefined].map((given) => settle(schema, { flags: given }).values.vnc), [true, false, false])
  assert.deepEqual(settle(schema, { file: file({ server: '[::1]:1' }) }).values.server, { host: '::1', port: 1 })
})

const wrongs: [string, Sources, RegExp][] = [
  ['a flag out of bounds', { flags: flags('--serv-port 70000') }, /^Error: --serv-port is "70000", allowed is a whole number from 1 to 65535$/],
  ['a number that only begins as one', { env: env({ TT_PORT: '80x' }) }, /TT_PORT is "80x"/],
  ['other spellings of a number', { env: env({ TT_PORT: '1e3' }) }, /TT_PORT is "1e3"/],
  ['a word that is none of them', { env: env({ TT_LEVEL: 'loud' }) }, /TT_LEVEL is "loud", allowed is info or warn/],
  ['a value of a wrong kind in the file', { file: file({ port: '80' }) }, /port in \/etc\/tt.json is "80"/],
  ['null in the file', { file: file({ port: null }) }, /port in \/etc\/tt.json is null/],
  ['an unknown key', { file: file({ prot: 1 }) }, /\/etc\/tt.json has an unknown key "prot"; did you mean "port"\?/],
  ['a key that is near none', { file: file({ colour: 1 }) }, /unknown key "colour"; known are port, level, paths, vnc, token, server$/],
  ['a key that may not stand in the file', { file: file({ config: 'x' }) }, /unknown key "config"/],
  ['a prototype is no key', { file: file('{"__proto__":1}') }, /unknown key "__proto__"/],
  ['a misspelt variable', { env: env({ TT_TOKNE: 'x' }) }, /TT_TOKNE is no setting; did you mean TT_TOKEN\?/],
  ['a file that is no JSON', { file: file('{"token": "secret",}') }, /^Error: \/etc\/tt.json is not JSON: wrong at position 19 \(line 1 column 20\)$/],
  ['a file that is no JSON, without a word of it', { file: file('{"token": secret}') }, /^Error: \/etc\/tt.json is not JSON$/],
  ['a file that is no object', { file: file('[]') }, /not a JSON object/],
  ['an empty file', { file: file('') }, /is not JSON/],
]
for (const [what, sources, expected] of wrongs) test(`refused: ${what}`, () => assert.throws(() => settle(schema, sources), expected))

test('variables of others are left alone', () => {
  for (const name of ['TT_IMAGE_CACHE', 'TT_SERV_ADDR', 'PORT', 'TTPORT']) assert.equal(settle(schema, { env: env({ [name]: 'x' }) }).values.port, 9527)
})

test('[L05] shown settings have their origins and no secrets', () => {
  const rows = settingRows(schema, settle(schema, { env: env({ TT_TOKEN: 'hunter2' }), file: file({ paths: ['a', 'b'] }) }))
  assert.deepEqual(
    rows.map(({ key, value, origin }) => [key, value, origin]),
    [
      ['port', '9527', 'default'],
      ['level', 'info', 'default'],
      ['paths', 'a,b', '/etc/tt.json'],
      ['vnc', 'no', 'default'],
      ['token', 'set', 'TT_TOKEN'],
      ['server', '', 'not set'],
      ['config', '', 'not set'],
    ],
  )
})

test('forms refuse what they do not write', () => {
  assert.deepEqual(['yes', 'no', 'true', '1', '0', '', 'on', 'hasOwnProperty'].map((word) => yesNo().fromText(word)), [true, false, true, true, false, true, undefined, undefined])
  assert.equal(text('x').fromText('a\0b'), undefined)
  assert.equal(text('x', 3).fromText('abcd'), undefined)
  assert.equal(whole(0, 10).fromText('-0'), undefined)
  assert.equal(whole(-5, 10).fromText('-5'), -5)
  assert.equal(whole(0, 10).fromText(' 5'), undefined)
  assert.equal(whole(0, 10).fromJson(5.5), undefined)
})
