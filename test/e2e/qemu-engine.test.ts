import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { cgroups, machineLayout } from '../../src/base/cgroups.ts'
import { plainEffects } from '../../src/base/effects.ts'
import { silentLog } from '../../src/base/log.ts'
import { isAlive, processesWith, processOf } from '../../src/base/processes.ts'
import { realWorld } from '../../src/base/world.ts'
import type { Nic } from '../../src/model/plan.ts'
import type { Engine } from '../../src/drivers/engine/engine.ts'
import { type Ground, ground, heard } from '../../src/drivers/engine/ground.ts'
import { demoPlan, echoPlan, pvhElf, testOptions, testUid } from '../../src/drivers/engine/qemu/guests.ts'
import { qemu } from '../../src/drivers/engine/qemu/qemu.ts'
import { connectUnix } from '../../src/drivers/engine/qemu/socket.ts'

// What this engine promises beyond the contract of engines. The suite of the contract is in qemu.test.ts.

const alive = setInterval(() => undefined, 1000)
after(() => clearInterval(alive))
const first = ground({ factory: qemu, options: testOptions, plan: demoPlan })
const probe = await (await first.engine()).probe()
await first.clear()
const skip = probe.usable ? false : `the engine qemu is not usable here: ${probe.why}`
const needsRoot = skip || (testUid === undefined ? 'only root can give VMs users and cgroups of their own' : false)

function it(what: string, run: (on: Ground, engine: Engine) => Promise<unknown>, options: { skip?: string | false; settings?: object } = {}): void {
  test(what, { skip: options.skip ?? skip, timeout: 30_000 }, async () => {
    const on = ground({ factory: qemu, options: { ...testOptions, ...options.settings }, plan: demoPlan })
    try {
      await run(on, await on.engine())
      await on.dispose()
      assert.deepEqual(on.traces(), [])
    } finally {
      await on.clear()
    }
  })
}
const pidOf = async (engine: Engine, id: string) => {
  const now = await engine.inspect(id)
  return (now.state === 'running' && now.pid) || assert.fail(`it is ${now.state}`)
}
const until = async (holds: () => Promise<boolean> | boolean) => {
  for (const end = Date.now() + 8000; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 10))) assert(Date.now() < end, 'it did not come in time')
}

it('a guest runs as its own user, without groups and capabilities, in a sandbox, and can gain no rights', async (on, engine) => {
  await engine.start(on.plan('safe.0'))
  const status = readFileSync(`/proc/${await pidOf(engine, 'safe.0')}/status`, 'utf8')
  const field = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1]?.trim()
  assert.equal(field('NoNewPrivs'), '1')
  assert.equal(field('Seccomp'), '2')
  if (testUid !== undefined) {
    assert.equal(field('Uid'), [testUid, testUid, testUid, testUid].join('\t'))
    assert.equal(field('Gid'), field('Uid'))
    assert.equal(field('Groups'), '')
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) assert.equal(field(set), '0'.repeat(16), set)
  }
  await engine.destroy('safe.0')
})

it('its user can neither read nor replace what the server keeps of it', async (on, engine) => {
  await engine.start(on.plan('kept.0'))
  const dir = join(on.dir, 'kept.0')
  const who = (name: string) => [statSync(join(dir, name)).uid, (statSync(join(dir, name)).mode & 0o777).toString(8)]
  assert.deepEqual(['.', 'pid', 'plan.json', 'qemu.log'].map(who), [[0, '711'], [0, '600'], [0, '600'], [0, '600']])
  assert.deepEqual(['run', 'serial.log'].map(who), [[testUid, '700'], [testUid, '600']])
  await engine.destroy('kept.0')
}, { skip: needsRoot })

it('[D06] a guest is in cgroups of its own with limits of processor, memory and threads', async (on, engine) => {
  await engine.start({ ...on.plan('held.0'), cpu: 2, memMb: 20 })
  const pid = await pidOf(engine, 'held.0')
  const joined = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n').filter((line) => line.endsWith(`/tt-${on.mark}/held.0`))
  const dirs = cgroups({ mark: on.mark, world: realWorld, effects: plainEffects() }).dirs('held.0')
  const { v1, v2 } = machineLayout()
  assert.deepEqual([joined.length, dirs.length], Array(2).fill(v1.length + (v2 ? 1 : 0)))
  const value = (...names: string[]) => names.flatMap((name) => dirs.map((dir) => join(dir, name)).filter(existsSync)).map((file) => readFileSync(file, 'utf8').trim())
  assert.deepEqual(value('memory.limit_in_bytes', 'memory.max'), [String((20 + 64 + 96 + 256) * 1024 * 1024)])
  assert.deepEqual(value('pids.max'), ['82'])
  assert.deepEqual(value('cpu.cfs_quota_us', 'cpu.max').map((text) => text.split(' ')[0]), ['250000'])
  assert.deepEqual(value('cpu.shares', 'cpu.weight').filter((text) => text === '2048' || text === '200').length, 1)
  await engine.stop('held.0', 0)
  assert.deepEqual(dirs.filter(existsSync), [], 'a guest that was stopped has none')
  await engine.destroy('held.0')
}, { skip: needsRoot })

it('what a guest prints for ever stays bounded, and the newest is kept', async (on, engine) => {
  const kernel = join(on.disks, 'endless')
  writeFileSync(kernel, pvhElf([0x66, 0xba, 0xf8, 0x03, 0xb0, 0x78, 0xee, 0xeb, 0xfd])) // mov dx, 0x3f8; mov al, 'x'; again: out dx, al; jmp again
  await engine.start({ ...on.plan('loud.0'), files: { kernel } })
  const files = ['serial.log', 'serial.log.1'].map((name) => join(on.dir, 'loud.0', name))
  const sizes = () => files.map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0)
  let greatest = 0
  await until(() => {
    greatest = Math.max(greatest, sizes()[0] ?? 0)
    return (sizes()[1] ?? 0) > 0
  })
  assert(greatest > 4096, 'it printed less than is kept, which proves nothing')
  await until(() => (sizes()[0] ?? 0) < greatest)
  assert(await engine.logs?.('loud.0').then(({ length }) => length <= 4096))
  assert((sizes()[1] ?? 0) <= 4096)
  await engine.destroy('loud.0')
}, { settings: { serialKeepBytes: 4096 } })

test('a directory with a name longer than a socket may have', { skip }, async () => {
  const on = ground({ factory: qemu, options: testOptions, plan: demoPlan })
  const dir = join(on.dir, 'x'.repeat(120), 'y'.repeat(120))
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const home = { dir, mark: on.mark, world: realWorld, effects: plainEffects(), log: silentLog }
  const engine = await qemu(home, testOptions)
  await engine.start(echoPlan('deep.0', on.disks))
  const line = heard((await engine.console?.('deep.0')) ?? assert.fail())
  line.stream.write('hello')
  await until(() => line.text.includes('hello'))
  ;(await engine.dial?.('deep.0', 'tt.agent'))?.destroy()
  line.stream.destroy()
  await engine.destroy('deep.0')
  await engine[Symbol.asyncDispose]()
  assert.deepEqual(readdirSync(dir), [])
  await on.clear()
})

it('a server killed while guests start leaves each running, and known, or nothing', async (on) => {
  for (const afterMs of [30, 60, 90]) {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', server, on.dir, on.mark, on.disks], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((resolve) => child.stdout?.once('data', resolve))
    await realWorld.sleep(afterMs)
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('exit', resolve))
    const engine = await on.engine()
    const running = processesWith(`tt-${on.mark}-`).map(({ pid }) => pid)
    const known = await Promise.all((await engine.list()).map((id) => engine.inspect(id)))
    assert.deepEqual(new Set(known.flatMap((one) => (one.state === 'running' ? [one.pid] : []))), new Set(running))
    for (const id of ['crash.0', 'crash.1', 'crash.2']) await engine.start(on.plan(id))
    assert.deepEqual(running.filter((pid) => !processOf(pid)), [], 'those that ran were not started anew')
    assert.equal(processesWith(`tt-${on.mark}-`).length, 3)
    for (const id of ['crash.0', 'crash.1', 'crash.2']) await engine.destroy(id)
    assert.deepEqual(on.traces(), [])
    await engine[Symbol.asyncDispose]()
  }
})

it('each kind of leak is found when one is planted', async (on, engine) => {
  const found = async (...owned: string[]) => (await engine.leaks?.(new Set(owned)))?.map(({ kind, subject }) => `${kind} ${subject}`).toSorted()
  await engine.start(on.plan('mine.0'))
  assert.deepEqual(await found('mine.0'), [])
  const stray = spawn('sh', ['-c', 'read line', `tt-${on.mark}-stray.0-0123`])
  const double = spawn('sh', ['-c', 'read line', `tt-${on.mark}-mine.0-4567`])
  await until(() => processesWith(`tt-${on.mark}-`).length === 3)
  writeFileSync(join(on.dir, 'junk'), '')
  mkdirSync(join(on.dir, 'lost.0'))
  const groups = cgroups({ mark: on.mark, world: realWorld, effects: plainEffects() })
  const dirs = testUid === undefined ? [] : groups.make('lost.1', {})
  const planted = [`file ${join(on.dir, 'junk')}`, `file ${join(on.dir, 'lost.0')}`, `process ${stray.pid}`, `process ${double.pid}`, ...dirs.map((dir) => `cgroup ${dir}`)]
  assert.deepEqual(await found('mine.0'), planted.toSorted())
  await groups.remove('lost.1')
  for (const child of [stray, double]) child.kill('SIGKILL')
  rmSync(join(on.dir, 'junk'))
  await engine.destroy('lost.0')
  await engine.destroy('mine.0')
  await until(async () => (await found())?.length === 0)
})

it('a pid that belongs to another process now is nobody’s guest, and is left alone', async (on, engine) => {
  await engine.start(on.plan('used.0'))
  await engine.stop('used.0', 0)
  const file = join(on.dir, 'used.0/pid')
  const [, , cookie = ''] = readFileSync(file, 'utf8').trim().split(' ')
  const stranger = spawn('sleep', ['60'])
  const alike = spawn('sh', ['-c', 'read line', `tt-${on.mark}-used.0-${cookie}`])
  for (const [child, startTime] of [[stranger, undefined], [alike, 1]] as const) {
    const self = processOf(child.pid ?? 0) ?? assert.fail()
    writeFileSync(file, `${self.pid} ${startTime ?? self.startTime} ${cookie}\n`)
    assert.equal((await engine.inspect('used.0')).state, 'stopped')
    await engine.stop('used.0', 0)
    assert(isAlive(self))
  }
  alike.kill('SIGKILL')
  await engine.destroy('used.0')
  assert(processOf(stranger.pid ?? 0))
  stranger.kill('SIGKILL')
})

it('a guest whose pid file was never written is found all the same', async (on, engine) => {
  await engine.start(on.plan('blank.0'))
  const pid = await pidOf(engine, 'blank.0')
  await engine[Symbol.asyncDispose]()
  rmSync(join(on.dir, 'blank.0/pid'))
  const next = await on.engine()
  assert.equal(await pidOf(next, 'blank.0'), pid)
  await next.start(on.plan('blank.0'))
  assert.deepEqual(processesWith(`tt-${on.mark}-`).map((one) => one.pid), [pid])
  const now = await next.inspect('blank.0')
  assert(now.state === 'running' && Math.abs(Date.parse(now.since) - Date.now()) < 5000)
  await next.destroy('blank.0')
})

it('a stop lets QEMU end in order', async (on, engine) => {
  await engine.start(on.plan('calm.0'))
  await engine.stop('calm.0', 0)
  await until(async () => {
    const now = await engine.inspect('calm.0')
    return now.state === 'stopped' && now.exit === 'it ended with status 0'
  })
  await engine.destroy('calm.0')
})

it('a q35 with a power button is asked first, and goes all the same', async (on, engine) => {
  await engine.start({ ...on.plan('disk.0'), boot: 'disk', files: {} })
  const pid = await pidOf(engine, 'disk.0')
  const from = performance.now()
  await engine.stop('disk.0', 300)
  assert(performance.now() - from >= 300, 'it was not given its time')
  assert.equal(processOf(pid), undefined)
  await engine.start({ ...on.plan('disk.0'), boot: 'disk', files: {}, options: { vnc: true, powerButton: false } })
  ;(await connectUnix(join(on.dir, 'disk.0/run/vnc.sock'))).destroy()
  const again = performance.now()
  await engine.stop('disk.0', 5000)
  assert(performance.now() - again < 4000, 'one without a button is not waited for')
  await engine.destroy('disk.0')
})

it('a user-mode card brings the public ports to the host', async (on, engine) => {
  const port = await freePort()
  const nic: Nic = { kind: 'user', bind: '127.0.0.1', denyOutgoing: true, id: 'port.0', mac: '52:54:00:00:02:0f', ip: '10.0.2.15', prefixLength: 24, gateway: '10.0.2.2', ports: { 80: port } }
  await engine.start({ ...on.plan('port.0'), nics: [nic] })
  const taken = createServer()
  await assert.rejects(new Promise((resolve, reject) => taken.once('error', reject).listen(port, '127.0.0.1', () => resolve(taken.close()))), { code: 'EADDRINUSE' })
  const refused = engine.start({ ...on.plan('port.1'), nics: [nic] })
  await assert.rejects(refused, { code: 'failed', message: new RegExp(`Could not set up host forwarding rule '(tcp|udp):127.0.0.1:${port}`) })
  assert.deepEqual(await engine.list(), ['port.0'])
  await engine.destroy('port.0')
})

it('a QEMU that hangs is still found, and can be destroyed', async (on, engine) => {
  await engine.start(on.plan('hung.0'))
  const self = processOf(await pidOf(engine, 'hung.0')) ?? assert.fail()
  process.kill(self.pid, 'SIGSTOP')
  await engine[Symbol.asyncDispose]()
  const next = await on.engine()
  assert.equal((await next.inspect('hung.0')).state, 'running')
  await next.destroy('hung.0')
  assert.equal(isAlive(self), false)
})

it('root starts no guest without a user, and says who cannot read what', async (on, engine) => {
  await assert.rejects(engine.start({ ...on.plan('root.0'), uid: undefined }), { code: 'invalid', message: /names no user/ })
  const kernel = join(on.disks, 'private')
  writeFileSync(kernel, readFileSync(testOptions.demoOs))
  chmodSync(kernel, 0o600)
  await assert.rejects(engine.start({ ...on.plan('root.1'), files: { kernel } }), { code: 'failed', message: /private/, remedy: /o\+x/ })
}, { skip: needsRoot })

/** A server of its own process that starts three guests at once. */
const server = `
  import { qemu } from ${JSON.stringify(new URL('../../src/drivers/engine/qemu/qemu.ts', import.meta.url).href)}
  import { demoPlan, testOptions } from ${JSON.stringify(new URL('../../src/drivers/engine/qemu/guests.ts', import.meta.url).href)}
  import { plainEffects } from ${JSON.stringify(new URL('../../src/base/effects.ts', import.meta.url).href)}
  import { silentLog } from ${JSON.stringify(new URL('../../src/base/log.ts', import.meta.url).href)}
  import { realWorld } from ${JSON.stringify(new URL('../../src/base/world.ts', import.meta.url).href)}
  setInterval(() => undefined, 1000)
  const [dir, mark, disks] = process.argv.slice(1)
  const engine = await qemu({ dir, mark, world: realWorld, effects: plainEffects(), log: silentLog }, testOptions)
  await engine.probe()
  console.log('ready')
  await Promise.all([0, 1, 2].map((at) => engine.start(demoPlan('crash.' + at, disks))))
`

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
