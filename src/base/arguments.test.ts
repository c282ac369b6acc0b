import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Command, type Flag, parseArguments, parseCommand } from './arguments.ts'

const flags: Flag[] = [
  { long: 'os-prefix', short: 's', value: 'PREFIX', list: 'commas', about: 'prefixes' },
  { long: 'env', value: 'K=V', list: 'repeat', about: 'variables' },
  { long: 'cpu-num', short: 'C', value: 'N', about: 'cpus' },
  { long: 'time-out', also: ['timeout'], value: 'S', about: 'limit' },
  { long: 'server', value: 'HOST', optional: true, about: 'server' },
  { long: 'deny', short: 'n', about: 'deny' },
  { long: 'quiet', short: 'q', about: 'quiet' },
]

const read = (line: string | string[], options = {}) => parseArguments(typeof line === 'string' ? line.split(' ') : line, flags, options)
const values = (line: string | string[], flag: string) => {
  const { given, wrong } = read(line)
  assert.equal(wrong, undefined)
  return given?.all(flag)
}

for (const line of ['-s a,b', '-s a -s b', '--os-prefix=a,b', '--os-prefix a --os-prefix=b', '-sa,b', '-s=a,b', 'x -s a y -s b', '-nsa,b', '-nq -s=a -sb'])
  test(`a list by ${line}`, () => assert.deepEqual(values(line, 'os-prefix'), ['a', 'b']))

test('an empty part of a list stays, so that it can be refused', () => {
  assert.deepEqual(values(['-s', ''], 'os-prefix'), [''])
  assert.deepEqual(values('-s a,', 'os-prefix'), ['a', ''])
})

test('a flag that repeats without commas keeps them', () => assert.deepEqual(values('--env A=1,2 --env B=', 'env'), ['A=1,2', 'B=']))

test('another spelling is the same flag', () => assert.deepEqual(values('--timeout 3', 'time-out'), ['3']))

test('a value may be anything but a flag of the command', () => {
  assert.deepEqual(values(['-C', '-5'], 'cpu-num'), ['-5'])
  assert.deepEqual(values(['-C', '-'], 'cpu-num'), ['-'])
  assert.deepEqual(values(['-C', 'a b'], 'cpu-num'), ['a b'])
  assert.deepEqual(values('--cpu-num=-n', 'cpu-num'), ['-n'])
  assert.deepEqual(read('-C -n').wrong, { message: '-C needs a value, N', hint: '-C=-n if that is the value' })
})

test('an optional value is joined by = or left out', () => {
  assert.deepEqual(values('--server x', 'server'), [''])
  assert.deepEqual(values('--server=x', 'server'), ['x'])
})

test('-- ends the flags', () => {
  assert.deepEqual(read('a -- -n b').given?.operands, ['a', '-n', 'b'])
  const { given } = read('a -- -n b', { rest: true })
  assert.deepEqual([given?.operands, given?.rest], [['a'], ['-n', 'b']])
  assert.deepEqual(read('a --', { rest: true }).given?.rest, [])
})

test('leading flags end at the first operand', () => assert.deepEqual(read('-q env -n', { leading: true }).given?.operands, ['env', '-n']))

for (const [line, message, hint] of [
  ['--os-prefx a', 'unknown flag --os-prefx', 'did you mean --os-prefix?'],
  ['--cpu=1', 'unknown flag --cpu', 'did you mean --cpu-num?'],
  ['-x', 'unknown flag -x', undefined],
  ['-nx', 'unknown flag -x in -nx', undefined],
  ['--deny=1', '--deny takes no value', undefined],
  ['-n=1', '-n takes no value', undefined],
  ['-C', '-C needs a value, N', undefined],
  ['-C 1 -C 2', '-C is given twice', undefined],
  ['--constructor', 'unknown flag --constructor', undefined],
] as const)
  test(`wrong: ${line}`, () => assert.deepEqual(read(line).wrong, { message, ...(hint === undefined ? {} : { hint }) }))

const command: Command = { words: 'env add', summary: 'Make', operands: [{ name: 'NAME' }], flags: [{ ...flags[0]!, required: true }, { long: 'quiet', short: 'q', value: 'X', about: 'own' }], examples: [] }
const globals: Flag[] = [{ long: 'help', short: 'h', about: 'help' }, { long: 'quiet', short: 'q', about: 'quiet' }, { long: 'json', about: 'json' }]

test('a command knows the flags of all, and its own hide them', () => {
  const { given } = parseCommand(command, ['a', '-s', 'x', '--json', '-q', 'value'], globals)
  assert.deepEqual([given?.operands, given?.has('json'), given?.one('quiet')], [['a'], true, 'value'])
})

test('a command refuses what is missing or too much, but not where help is asked for', () => {
  assert.equal(parseCommand(command, ['-s', 'x'], globals).wrong?.message, 'NAME is missing')
  assert.equal(parseCommand(command, ['a'], globals).wrong?.message, '--os-prefix is missing: prefixes')
  assert.equal(parseCommand(command, ['a', 'b', '-s', 'x'], globals).wrong?.message, '"b" is one word too many')
  assert.equal(parseCommand(command, ['-h'], globals).given?.has('help'), true)
})
