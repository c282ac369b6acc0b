import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Engine } from '../src/drivers/engine/engine.ts'
import type { Cloud } from '../src/model/cloud.ts'
import type { EnvAsked } from '../src/model/env.ts'
import { keys, type VmRecord } from '../src/model/records.ts'
import type { SessionFrame, SessionInput, SessionRequest } from '../src/model/session.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

const spec = (count: number, more: Partial<EnvAsked> = {}): EnvAsked => ({ groups: [{ image: 'fake:micro', count }], lifetimeSeconds: null, ...more })
const exec = (shell: string, more: Partial<Extract<SessionRequest, { type: 'exec' }>> = {}): SessionRequest => ({ type: 'exec', vms: { envs: ['e'] }, command: { shell }, ...more })

async function ready(cloud: Cloud, env: string): Promise<void> {
  for (const end = performance.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
    if ((await cloud.collection('env').get(env)).status?.phase === 'ready') return
    assert.ok(performance.now() < end, `${env} is not ready in time`)
  }
}

async function run(cloud: Cloud, request: SessionRequest): Promise<SessionFrame[]> {
  await using session = await cloud.open(request)
  return await Array.fromAsync(session.output)
}

/** By VM: what it wrote, and how it ended. */
function told(frames: SessionFrame[]): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const frame of frames) {
    if (frame.type === 'stdout' || frame.type === 'stderr') texts[frame.vm] = (texts[frame.vm] ?? '') + Buffer.from(frame.data).toString()
    if (frame.type === 'exit') texts[frame.vm] = `${texts[frame.vm] ?? ''}${frame.code ?? frame.signal}`
    if (frame.type === 'problem') texts[frame.vm ?? ''] = `${texts[frame.vm ?? ''] ?? ''}${frame.problem.code}: ${frame.problem.message}`
  }
  return texts
}

/** Counts commands that run at the same time. */
function counted() {
  const seen = { now: 0, most: 0 }
  const engine = (one: Engine): Engine => ({
    ...one,
    channel(id) {
      const channel = one.channel!(id)
      const exec: typeof channel.exec = async (...given) => {
        seen.most = Math.max(seen.most, ++seen.now)
        return channel.exec(...given).finally(() => seen.now--)
      }
      return Object.create(channel, { exec: { value: exec } }) as typeof channel
    },
  })
  return { seen, engine }
}

test('commands take turns, so many at once, and the time of one that waits has not begun', async () => {
  using home = temporaryDir('sessions-turns')
  const { seen, engine } = counted()
  await using made = await fakeCloud({ ...home, engine: { execMs: 60 }, around: { engine } })
  await made.cloud.collection('env').put('e', { spec: spec(8) })
  await ready(made.cloud, 'e')
  const frames = await run(made.cloud, exec('true', { atOnce: 2, timeoutMs: 200 }))
  assert.deepEqual(Object.values(told(frames)), Array(8).fill('0'))
  assert.equal(seen.most, 2)
  await run(made.cloud, exec('true'))
  assert.equal(seen.most, 8, 'without a bound all at once')
})

test('F07: a slow VM is named as timed out, and the others are shown', async () => {
  using home = temporaryDir('sessions-slow')
  await using made = await fakeCloud({ ...home, engine: { silent: ['*.1'] } })
  await made.cloud.collection('env').put('e', { spec: spec(3) })
  await ready(made.cloud, 'e')
  assert.deepEqual(told(await run(made.cloud, exec('echo here', { timeoutMs: 150 }))), { 'e.0': 'here\n0', 'e.2': 'here\n0', 'e.1': 'timeout: the command did not end within 150 ms' })
})

test('F17: a VM that still boots and one that ended are told apart, each at once', async () => {
  using home = temporaryDir('sessions-lost')
  await using made = await fakeCloud({ ...home, engine: { bootMs: 60_000 } })
  await made.cloud.collection('env').put('e', { spec: spec(2) })
  const vms = async () => (await made.cloud.collection('vm').list({ under: 'e' })).items
  for (const end = performance.now() + 5000; (await vms()).some(({ status }) => status?.state !== 'booting'); await new Promise((resolve) => setTimeout(resolve, 5))) assert.ok(performance.now() < end)
  const key = keys.vm((await vms())[1]?.spec.id ?? '')
  await made.store.commit([{ key, value: { ...((await made.store.get(key))?.value as VmRecord), state: 'stopped', problem: { code: 'failed', message: 'the guest ended by itself' } } }])
  const began = performance.now()
  const texts = told(await run(made.cloud, exec('true', { timeoutMs: 300 })))
  assert.match(texts['e.0'] ?? '', /^not_ready: the guest has not answered within 300 ms: it is still booting, or hangs$/)
  assert.match(texts['e.1'] ?? '', /^not_ready: the guest ended by itself$/)
  assert.ok(performance.now() - began < 2000)
})

test('a guest without any way in is unsupported, and it is said why', async () => {
  using home = temporaryDir('sessions-none')
  const images = join(home.dir, 'given')
  mkdirSync(join(images, 'mute'), { recursive: true })
  const content = Buffer.alloc(1 << 16)
  writeFileSync(join(images, 'mute', 'content'), content)
  writeFileSync(join(images, 'mute', 'image.json'), JSON.stringify({ format: 1, name: 'mute', engines: ['fake'], boot: 'kernel', kernel: { file: 'content', sha256: createHash('sha256').update(content).digest('hex') }, defaults: { memMb: 64 } }))
  await using made = await fakeCloud({ ...home, imageDirs: [images], host: { expected: new Set(['engine', 'volume', 'network', 'images', 'kept', 'imported', 'store', 'given']) } })
  for (const end = performance.now() + 15_000; !(await made.cloud.collection('image').list()).items.some(({ name }) => name === 'mute'); await new Promise((resolve) => setTimeout(resolve, 50))) assert.ok(performance.now() < end)
  await made.cloud.collection('env').put('e', { spec: { ...spec(1), groups: [{ image: 'mute', count: 1 }] } })
  await ready(made.cloud, 'e')
  const frames = await run(made.cloud, exec('true'))
  const problem = frames.flatMap((frame) => (frame.type === 'problem' ? [frame.problem] : []))[0]
  assert.deepEqual(problem, { code: 'unsupported', message: 'nothing in a guest of mute takes commands or files: its image names no agent, no ssh and no other way in', subject: 'vm/e.0', remedy: 'its serial line is open: `tt env console e.0`' })
})

test('input for all VMs at the same time does not go with turns', async () => {
  using home = temporaryDir('sessions-stdin')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(3) })
  await ready(made.cloud, 'e')
  const texts = told(await run(made.cloud, exec('cat', { stdin: true, atOnce: 2 })))
  assert.match(texts[''] ?? '', /^invalid: input goes to all VMs at the same time/)
  await using session = await made.cloud.open(exec('cat', { stdin: true, atOnce: 3 }))
  const writer = session.input.getWriter()
  await writer.write({ type: 'stdin', data: Buffer.from('x') })
  await writer.write({ type: 'eof' })
  assert.deepEqual(told(await Array.fromAsync(session.output)), { 'e.0': 'x0', 'e.1': 'x0', 'e.2': 'x0' })
})

test('a terminal: its size, what is typed, Ctrl-C, and the status of the shell', async () => {
  using home = temporaryDir('sessions-tty')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(1) })
  await ready(made.cloud, 'e')
  await using session = await made.cloud.open({ type: 'exec', vms: { envs: ['e'] }, command: { argv: ['sh', '-l'] }, tty: { columns: 90, rows: 20, term: 'vt100' } })
  const writer = session.input.getWriter()
  const says = (...inputs: (SessionInput | string)[]) => Promise.all(inputs.map((input) => writer.write(typeof input === 'string' ? { type: 'stdin', data: Buffer.from(input) } : input)))
  let shown = ''
  let code: number | undefined
  const steps: [string, () => Promise<unknown>][] = [
    ['# ', () => says('echo $TERM; stty size\r')],
    ['vt100\r\n20 90\r\n# ', () => says({ type: 'size', columns: 132, rows: 50 }).then(() => new Promise((resolve) => setTimeout(resolve, 10))).then(() => says('stty size\r'))],
    ['50 132\r\n# ', () => says('sleep 100\r', '\x03')],
    ['^C\r\n# ', () => says('exit 3\r')],
  ]
  for await (const frame of session.output) {
    if (frame.type === 'exit') code = frame.code
    if (frame.type === 'stdout') shown += Buffer.from(frame.data).toString()
    const [wanted, act] = steps[0] ?? []
    if (wanted === undefined || !shown.includes(wanted)) continue
    shown = shown.slice(shown.indexOf(wanted) + wanted.length)
    steps.shift()
    act?.().catch(() => undefined) // What it was to bring about does not come then.
  }
  assert.deepEqual([steps, code], [[], 3])
})

test('F04: a script is sent along with its arguments', async () => {
  using home = temporaryDir('sessions-script')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(1) })
  await ready(made.cloud, 'e')
  const script = "#!/bin/sh\necho \"$# $1\" '$2'\nexit 4\n"
  assert.deepEqual(told(await run(made.cloud, { type: 'exec', vms: { envs: ['e'] }, command: { script, args: ["ü  'x'", 'b'] } })), { 'e.0': "2 ü  'x' $2\n4" })
})

test('F18: a console begins with what was said before, and has several viewers at once', async () => {
  using home = temporaryDir('sessions-console')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(1) })
  await ready(made.cloud, 'e')
  const open = (scrollbackBytes?: number) => made.cloud.open({ type: 'console', vms: { envs: ['e'] }, ...(scrollbackBytes === undefined ? {} : { scrollbackBytes }) })
  const sessions = [await open(10_000), await open(), await open(10_000)]
  const views = sessions.map((session) => {
    const view = { text: '', session }
    const look = async () => {
      for await (const frame of session.output) if (frame.type === 'stdout') view.text += Buffer.from(frame.data).toString()
    }
    look().catch(() => undefined)
    return view
  })
  const writer = sessions[1]?.input.getWriter()
  await writer?.write({ type: 'stdin', data: Buffer.from('echo $none hello\r') })
  const all = () => views.every(({ text }) => /alive for \d+ s\r\n/.test(text)) && views[1]?.text.includes('\r\nhello\r\n')
  for (const end = performance.now() + 5000; !all(); await new Promise((resolve) => setTimeout(resolve, 5))) assert.ok(performance.now() < end, JSON.stringify(views.map(({ text }) => text)))
  assert.deepEqual(views.map(({ text }) => text.includes('fake-guest e-0: begins')), [true, false, true])
  for (const session of sessions) await session[Symbol.asyncDispose]()
})

test('F18: the logs of a stopped ENV are shown, of all its runs; its console shows them too, and how it is started', async () => {
  using home = temporaryDir('sessions-stopped')
  await using made = await fakeCloud(home)
  const envs = made.cloud.collection('env')
  const states = async () => (await made.cloud.collection('vm').list({ under: 'e' })).items.map(({ status }) => status?.state)
  await envs.put('e', { spec: spec(2) })
  await ready(made.cloud, 'e')
  await envs.put('e', { spec: spec(2, { stopped: true }) })
  for (const end = performance.now() + 10_000; (await states()).some((state) => state !== 'stopped'); await new Promise((resolve) => setTimeout(resolve, 5))) assert.ok(performance.now() < end, String(await states()))
  for (const follow of [false, true]) {
    const frames = await run(made.cloud, { type: 'logs', vms: { envs: ['e'] }, follow })
    for (const text of Object.values(told(frames))) assert.match(text, /^fake-guest e-\d: begins[^]*0$/)
    assert.deepEqual(frames.flatMap((frame) => (frame.type === 'note' ? [frame.text] : [])).sort(), follow ? ['e.0: it is stopped, and nothing follows', 'e.1: it is stopped, and nothing follows'] : [])
  }
  assert.match(told(await run(made.cloud, { type: 'console', vms: { envs: ['e'], indices: [1] }, scrollbackBytes: 10_000 }))['e.1'] ?? '', /^fake-guest e-1: begins[^]*not_ready: the VM is stopped/)
  await assert.rejects(run(made.cloud, exec('true')), /ENV e is stopped/)
})
