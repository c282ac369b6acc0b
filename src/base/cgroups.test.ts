import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { cgroups, machineLayout } from './cgroups.ts'
import { plainEffects } from './effects.ts'
import { isAlive, processOf } from './processes.ts'
import { randomHex, realWorld } from './world.ts'

const mark = randomHex(realWorld, 3).slice(0, 5)
const groups = cgroups({ mark, world: realWorld, effects: plainEffects() })
const usable = await groups.usable()
const skip = usable.usable ? false : `cgroups are not usable here: ${usable.why}`

test('the try leaves nothing', { skip }, () => assert.deepEqual([groups.list(), groups.dirs('')], [[], []]))

test('a group is made, changed, joined, and removed with what runs in it', { skip }, async () => {
  const dirs = groups.make('demo.0', { cpu: 0.5, memoryBytes: 64 << 20, pids: 20 })
  groups.make('demo.1', {})
  assert.deepEqual(groups.list().toSorted(), ['demo.0', 'demo.1'])
  assert.deepEqual(groups.dirs('demo.0'), dirs)
  const limits = () => ['memory.limit_in_bytes', 'memory.max', 'pids.max'].flatMap((file) => dirs.map((dir) => join(dir, file)).filter(existsSync)).map((file) => readFileSync(file, 'utf8').trim())
  assert.deepEqual(limits(), [String(64 << 20), '20'])
  groups.make('demo.0', { memoryBytes: 32 << 20, pids: 30 })
  assert.deepEqual(limits(), [String(32 << 20), '30'])

  const child = spawn('sleep', ['60'])
  for (const dir of dirs) writeFileSync(join(dir, 'cgroup.procs'), String(child.pid))
  // Frozen where the machine can: removing has to thaw or kill all the same.
  for (const dir of dirs) if (existsSync(join(dir, 'freezer.state'))) writeFileSync(join(dir, 'freezer.state'), 'FROZEN')
  const self = processOf(child.pid ?? 0)
  assert(self && isAlive(self))
  await groups.remove('demo.0')
  assert.equal(isAlive(self), false)
  assert.deepEqual(groups.list(), ['demo.1'])
  assert(dirs.every((dir) => !existsSync(dir)))
  await groups.remove('demo.1')
  await groups.remove('demo.1')
  assert(dirs.every((dir) => !existsSync(join(dir, '..'))), 'the directory of the mark goes with the last group')
})

test('where nothing can be made it says why', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-cgroups-'))
  const on = (layout: Parameters<typeof cgroups>[0]['layout']) => cgroups({ mark, world: realWorld, effects: plainEffects(), layout }).usable()
  assert.deepEqual(await on({ v1: [] }), { usable: false, why: 'no cgroup file system is mounted' })
  assert.deepEqual(await on({ v1: [{ dir, controllers: ['cpu'] }] }), { usable: false, why: 'no cgroup hierarchy has the controllers memory, pids' })
  mkdirSync(join(dir, 'root'))
  const plain = await on({ v1: [], v2: { dir: join(dir, 'root'), controllers: ['cpu', 'memory', 'pids'] } })
  assert(!plain.usable && plain.why.includes('cgroup.subtree_control'), 'an ordinary directory is no cgroup')
  const missing = await on({ v1: [{ dir: join(dir, 'none'), controllers: ['cpu', 'memory', 'pids'] }] })
  assert(!missing.usable && missing.why.includes('cannot be written'))
  rmSync(dir, { recursive: true })
})

test('this machine has a layout', { skip }, () => assert.notDeepEqual(machineLayout(), { v1: [] }))
