import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { apiServer, type ApiServer } from '../api/server.ts'
import { silentLog } from '../base/log.ts'
import { realWorld } from '../base/world.ts'
import { type Script, type ScriptedCloud, scriptedCloud } from '../cli/scripted-cloud.ts'
import { envOf, vmOf } from '../cli/specimens.ts'
import type { Cloud } from '../model/cloud.ts'
import type { SessionFrame } from '../model/session.ts'

const program = join(import.meta.dirname, 'tt.ts')
const home = mkdtempSync(join(tmpdir(), 'tt-cli-'))
let cloud: ScriptedCloud
let server: ApiServer
let address: string

before(async () => {
  server = apiServer({ cloudFor: (): Cloud => cloud, authenticate: (token) => (token === 'right' ? { user: { name: 'ann', role: 'user' } } : undefined), world: realWorld, log: silentLog, drainMs: 100 })
  await server.listen('127.0.0.1', 0)
  address = `127.0.0.1:${server.address?.port}`
})
after(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(home, { recursive: true })
})

/** The client as a process of its own, at a Cloud that plays the script. */
async function tt(args: string[], script: Script, more: { env?: Record<string, string>; input?: string; act?: (child: ReturnType<typeof spawn>) => void } = {}) {
  cloud = scriptedCloud(script, realWorld)
  const child = spawn(process.execPath, [program, ...args], { env: { PATH: process.env.PATH, HOME: home, TT_SERVER: address, TT_TOKEN: 'right', ...more.env } })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (piece: Buffer) => out.push(piece))
  child.stderr.on('data', (piece: Buffer) => err.push(piece))
  child.stdin.on('error', () => undefined)
  child.stdin.end(more.input)
  more.act?.(child)
  const status = await new Promise((resolve) => child.on('close', resolve))
  return { status, out: Buffer.concat(out), err: Buffer.concat(err).toString() }
}

const began: SessionFrame = { type: 'begin', vm: 'demo.0', image: 'micro', address: '192.0.2.1' }
const exit = (code: number): SessionFrame => ({ type: 'exit', vm: 'demo.0', code })
const piece = Buffer.alloc(65_536, 'abc\0\xff', 'latin1')

test('bytes of a guest pass whole through a pipe, with its status', async () => {
  const { status, out, err } = await tt(['env', 'run', 'demo', '-m0', '-c', 'x'], { frames: [began, ...Array.from({ length: 80 }, () => ({ type: 'stdout', vm: 'demo.0', data: piece }) as const), exit(42)] })
  assert.deepEqual([status, out.equals(Buffer.concat(Array.from({ length: 80 }, () => piece))), err], [42, true, ''])
})

test('a reader that goes away ends it in silence', async () => {
  const frames = [began, ...Array.from({ length: 400 }, () => ({ type: 'stdout', vm: 'demo.0', data: piece }) as const), exit(0)]
  const { status, err } = await tt(['env', 'run', 'demo', '-m0', '-c', 'x'], { frames }, { act: (child) => child.stdout?.once('data', () => child.stdout?.destroy()) })
  assert.deepEqual([status, err], [141, ''])
})

test('standard input reaches the guest', async () => {
  const { status } = await tt(['env', 'run', 'demo', '-m0', '--stdin', '-c', 'x'], { frames: [began, 500, exit(0)] }, { input: 'some text' })
  const sent = cloud.inputs.flatMap((input) => (input.type === 'stdin' ? [Buffer.from(input.data)] : []))
  assert.deepEqual([status, Buffer.concat(sent).toString(), cloud.inputs.at(-1)?.type], [0, 'some text', 'eof'])
})

test('Ctrl-C while it waits tells what goes on', async () => {
  const act = (child: ReturnType<typeof spawn>) => child.stderr?.once('data', () => child.kill('SIGINT'))
  const { status, err } = await tt(['env', 'add', 'new', '-s', 'micro'], {}, { act })
  assert.deepEqual([status, err.split('\n').slice(-3)], [16, ['tt: interrupted; ENV new is still being made (cancelled)', '  see how far it is by `tt env show new`; `tt env del new` deletes it', '']])
})

test('Ctrl-C ends a command that says nothing', async () => {
  const act = (child: ReturnType<typeof spawn>) => child.stdout?.once('data', () => child.kill('SIGINT'))
  const frames = [began, { type: 'stdout', vm: 'demo.0', data: Buffer.from('a') } as const, 60_000, exit(0)]
  const { status, out, err } = await tt(['env', 'run', 'demo', '-m0', '-c', 'x'], { frames }, { act })
  assert.deepEqual([status, out.toString(), err], [16, 'a', 'tt: interrupted (cancelled)\n'])
})

test('it waits as long as it takes, with nothing but time to keep it alive', async () => {
  const { status, out } = await tt(['env', 'add', 'new', '-s', 'micro', '--json'], { vm: [vmOf('new.0')], steps: ['break', { kind: 'env', name: 'new', status: { phase: 'ready', ready: 1 } }, { kind: 'task', name: 'env/new', status: { state: 'done', done: 1 } }] })
  assert.equal(status, 0)
  assert.equal((JSON.parse(out.toString()) as { envs: { phase: string }[] }).envs[0]?.phase, 'ready')
})

test('[J02] a token that is not the right one is refused, and none is asked for', async () => {
  const wrong = await tt(['env', 'list'], { env: [envOf('demo')] }, { env: { TT_TOKEN: 'wrong' } })
  assert.deepEqual([wrong.status, wrong.out.length], [4, 0])
  const none = await tt(['config', '--serv-addr', '127.0.0.1', '--serv-port', address.split(':')[1] ?? ''], {}, { env: { TT_TOKEN: '', TT_SERVER: '' } })
  assert.equal(none.status, 0)
  assert.match(none.err, /wants a token, and none is set/)
})

test('[A01 J03] config keeps a token for its owner; a server that is not there changes nothing', async () => {
  const env = { TT_TOKEN: '', TT_SERVER: '' }
  const saved = await tt(['config', '--serv-addr', '127.0.0.1', '--serv-port', address.split(':')[1] ?? '', '--token', '-'], {}, { env, input: 'right\n' })
  const path = join(home, '.config/tt/config.json')
  const kept = readFileSync(path, 'utf8')
  assert.deepEqual([saved.status, JSON.parse(kept)], [0, { server: address, clientId: 'default' }])
  assert.deepEqual(JSON.parse(readFileSync(join(home, '.config/tt/tokens/default'), 'utf8')), { server: address, token: 'right', user: 'ann' })
  assert.equal((await tt(['env', 'list'], {}, { env })).status, 0)
  const dead = await tt(['config', '--serv-addr', '127.0.0.1', '--serv-port', '1'], {}, { env })
  assert.deepEqual([dead.status, readFileSync(path, 'utf8')], [14, kept])
  assert.match(dead.err, /^tt: no tt server answers at 127.0.0.1:1: the connection was refused \(unavailable\)\n/)
  assert.deepEqual(readdirSync(home), ['.config'])
})

test('A11: its version is that of the package', async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { version: string }
  const { status, out } = await tt(['--version'], {})
  assert.deepEqual([status, out.toString()], [0, `tt ${version}\n`])
})
