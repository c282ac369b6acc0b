import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { cgroups } from '../../src/base/cgroups.ts'
import { plainEffects } from '../../src/base/effects.ts'
import { processOf } from '../../src/base/processes.ts'
import { realWorld } from '../../src/base/world.ts'
import type { Engine } from '../../src/drivers/engine/engine.ts'
import { eventually, type Ground, ground, watching } from '../../src/drivers/engine/ground.ts'
import { demoPlan, pvhElf, testOptions, testUid } from '../../src/drivers/engine/qemu/guests.ts'
import { qemu } from '../../src/drivers/engine/qemu/qemu.ts'

// Whether what a VM may use is all it can use, tried by processes that are let into its groups: what a QEMU could do that its guest has taken over.

const alive = setInterval(() => undefined, 1000)
after(() => clearInterval(alive))
const first = ground({ factory: qemu, options: testOptions, plan: demoPlan })
const engineOfProbe = await first.engine()
const probe = await engineOfProbe.probe()
const { limits } = engineOfProbe.features
await first.clear()
const skip = !probe.usable ? `the engine qemu is not usable here: ${probe.why}` : limits === 'cgroups' ? undefined : `guests have no limits here: ${limits}`

interface Held {
  on: Ground
  engine: Engine
  pid: number
  dirs: string[]
  /** Starts a program inside the VM's groups; it waits for nothing. */
  intrude(script: string): ChildProcess
}

function it(what: string, run: (held: Held) => Promise<void>): void {
  test(what, { skip, timeout: 60_000 }, async () => {
    const on = ground({ factory: qemu, options: testOptions, plan: demoPlan })
    const intruders: ChildProcess[] = []
    try {
      const engine = await on.engine()
      await engine.start({ ...on.plan('held.0'), cpu: 1, memMb: 16 })
      const now = await engine.inspect('held.0')
      assert(now.state === 'running' && now.pid !== undefined)
      const dirs = cgroups({ mark: on.mark, world: realWorld, effects: plainEffects() }).dirs('held.0')
      const intrude = (script: string) => {
        const child = spawn('sh', ['-c', `for dir in ${dirs.join(' ')}; do echo 0 >$dir/cgroup.procs || exit 9; done; ${script}`], { stdio: ['ignore', 'pipe', 'pipe'] })
        intruders.push(child)
        return child
      }
      await run({ on, engine, pid: now.pid, dirs, intrude })
      await engine.destroy('held.0')
      await on.dispose()
      assert.deepEqual(on.traces(), [])
    } finally {
      for (const child of intruders) child.kill('SIGKILL')
      await on.clear()
    }
  })
}

it('[D06 H11] fault 40: a VM cannot use more than its processors, whatever runs in its group', async ({ pid, dirs, intrude }) => {
  const busy = [1, 2, 3].map(() => intrude('while :; do :; done').pid ?? 0)
  await eventually(() => assert(busy.every((one) => cpuMs(one) > 0), 'they do not run'))
  const all = [pid, ...busy]
  const [from, before, throttledBefore] = [performance.now(), all.map(cpuMs), throttled(dirs)]
  await realWorld.sleep(2000)
  const wallMs = performance.now() - from
  const usedMs = all.reduce((sum, one, at) => sum + cpuMs(one) - (before[at] ?? 0), 0)
  // One for the guest, and a half for what QEMU does for it.
  assert(usedMs < wallMs * 1.6 + 100, `with one processor it used ${usedMs} ms of ${wallMs.toFixed()} ms`)
  // On a machine where others are busy they may not get even that.
  assert(throttled(dirs) > throttledBefore || usedMs < wallMs * 1.45, 'nothing held them back')
})

it('[D06] fault 40: a VM cannot use more than its memory: what asks for more is killed, and nobody else', async ({ dirs, intrude, engine }) => {
  const limitBytes = value(dirs, 'memory.limit_in_bytes', 'memory.max')
  assert.equal(limitBytes, (16 + 64 + 96 + 256) * 2 ** 20)
  // It goes before QEMU does: it is far larger.
  const greedy = intrude(`head -c ${4 * limitBytes} /dev/zero | tail >/dev/null; echo $?`)
  let said = ''
  greedy.stdout?.on('data', (piece: Buffer) => (said += String(piece)))
  await new Promise((resolve) => greedy.once('close', resolve))
  assert.equal(said.trim(), '137', 'it was not killed')
  const most = value(dirs, 'memory.max_usage_in_bytes', 'memory.peak')
  if (most !== undefined) assert(most <= limitBytes, `${most} bytes were used of ${limitBytes}`)
  assert.equal((await engine.inspect('held.0')).state, 'running')
})

it('[D06] fault 40: a VM cannot start processes without end', async ({ dirs, intrude }) => {
  assert.equal(value(dirs, 'pids.max'), 81)
  const bomb = intrude('for at in $(seq 300); do sleep 5 & done; wait')
  let said = ''
  bomb.stderr?.on('data', (piece: Buffer) => (said += String(piece)))
  await eventually(() => assert.match(said, /fork/, 'it had all it wanted'))
  const count = value(dirs, 'pids.current')
  assert(count !== undefined && count <= 81, `there are ${count}`)
})

it('[D06] guests that never rest share what there is, and none has more than its own', async ({ on, engine }) => {
  const kernel = join(on.disks, 'busy')
  writeFileSync(kernel, pvhElf([0xeb, 0xfe])) // jmp to itself
  const ids = ['busy.0', 'busy.1', 'busy.2']
  await Promise.all(ids.map((id) => engine.start({ ...on.plan(id), files: { kernel } })))
  const pids = await Promise.all(ids.map(async (id) => ((now) => (now.state === 'running' && now.pid) || assert.fail())(await engine.inspect(id))))
  const [from, before] = [performance.now(), pids.map(cpuMs)]
  await realWorld.sleep(3000)
  const wallMs = performance.now() - from
  const usedMs = pids.map((pid, at) => cpuMs(pid) - (before[at] ?? 0))
  for (const used of usedMs) assert(used < wallMs * 1.15 + 100, `one used ${used} ms of ${wallMs.toFixed()} ms`)
  assert(Math.max(...usedMs) < 2 * Math.min(...usedMs) + 100, `they used ${usedMs.join(', ')} ms`)
  await Promise.all(ids.map((id) => engine.destroy(id)))
})

it('a VM the kernel ends for want of memory says so, also to the next server, and not when it ends otherwise', async ({ on, engine, pid, intrude }) => {
  const { seen, end } = watching(engine)
  // Many small ones: of all in the group QEMU is the largest, and the one whose end helps most.
  const hogs = intrude('for at in $(seq 17); do (head -c 26000000 /dev/zero; exec sleep 20) | tail >/dev/null & done; wait')
  await eventually(async () => assert.deepEqual(await engine.inspect('held.0'), { state: 'stopped', exit: 'it was killed by the kernel: out of memory' }))
  await eventually(() => assert(seen.includes('held.0'), 'its end was not told'))
  assert.equal(processOf(pid), undefined)
  hogs.kill('SIGKILL')
  await end()
  await engine[Symbol.asyncDispose]()

  const next = await on.engine()
  assert.deepEqual(await next.inspect('held.0'), { state: 'stopped', exit: 'it was killed by the kernel: out of memory' })
  await next.start({ ...on.plan('held.0'), memMb: 8 }) // Others still fill its group, to more than it is to have.
  const now = await next.inspect('held.0')
  assert(now.state === 'running' && now.pid !== undefined)
  process.kill(now.pid, 'SIGKILL')
  await eventually(async () => assert.deepEqual(await next.inspect('held.0'), { state: 'stopped', exit: 'it was ended by SIGKILL' }))
  await next.destroy('held.0')
})

/** The number in the first of these files there is in the VM's groups. */
function value(dirs: string[], ...names: string[]): number | undefined {
  const file = names.flatMap((name) => dirs.map((dir) => join(dir, name)).filter(existsSync))[0]
  return file === undefined ? undefined : Number(readFileSync(file, 'utf8'))
}

/** How often the kernel made the group wait for its next share of processor time. */
function throttled(dirs: string[]): number {
  const texts = dirs.map((dir) => join(dir, 'cpu.stat')).filter(existsSync).map((file) => readFileSync(file, 'utf8'))
  return Math.max(0, ...texts.map((text) => Number(/^nr_throttled (\d+)$/m.exec(text)?.[1] ?? 0)))
}

/** Processor time of a process, all its threads together: fields 14 and 15 of its stat, in hundredths of a second. */
function cpuMs(pid: number): number {
  const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : ''
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 10
}

test('[D06] where there are no cgroups guests run without limits, and the engine says so', { skip: probe.usable ? undefined : probe.why, timeout: 60_000 }, (t) => {
  const script = `
    import { qemu } from ${JSON.stringify(import.meta.resolve('../../src/drivers/engine/qemu/qemu.ts'))}
    import { ground } from ${JSON.stringify(import.meta.resolve('../../src/drivers/engine/ground.ts'))}
    import { demoPlan, testOptions } from ${JSON.stringify(import.meta.resolve('../../src/drivers/engine/qemu/guests.ts'))}
    const alive = setInterval(() => undefined, 1000)
    const on = ground({ factory: qemu, options: testOptions, plan: demoPlan })
    const engine = await on.engine()
    await engine.start(on.plan('free.0'))
    console.log((await engine.inspect('free.0')).state, engine.features.limits)
    await engine.destroy('free.0')
    await on.clear()
    clearInterval(alive)`
  const ran = spawnSync('unshare', ['--mount', 'sh', '-c', 'umount -R /sys/fs/cgroup && exec "$0" --input-type=module --eval "$1"', process.execPath, script], { encoding: 'utf8' })
  if (/unshare|umount/.test(ran.stderr)) return t.skip(`the cgroup file systems cannot be taken away here: ${ran.stderr.trim()}`)
  assert.equal(ran.stdout, 'running none: no cgroup file system is mounted\n', ran.stderr)
})

if (testUid === undefined) test('limits of processor and memory', { skip: 'only root can give VMs cgroups' }, () => undefined)
