import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rehearse, type Stage } from './rehearsal.ts'
import { envOf, vmOf } from './specimens.ts'

const unavailable = { code: 'unavailable', message: 'no tt server answers' } as const
const add = (stage: Stage) => rehearse('env add new -s micro -q --json', { vm: [vmOf('new.0')], ...stage })
const done = (name: string, more: { unseen?: true } = {}) => ({ kind: 'task', name: `env/${name}`, status: { state: 'done' }, ...more }) as const

test('a watch that breaks is begun again, and the state it begins with is heeded', async () => {
  const { status, cloud } = await add({ steps: [done('new', { unseen: true }), 'break'] })
  assert.deepEqual([status, cloud.calls], [0, ['env.put new', 'task.watch new', 'task.watch new', 'env.get new', 'vm.list new']])
})

test('a server that comes back within a minute is waited for', async () => {
  const { status, cloud } = await add({ steps: ['break', done('new')], refusals: { 'task.watch new': [unavailable, ...Array(20).fill(unavailable)] } })
  assert.equal(status, 0)
  assert.ok(cloud.calls.length > 20)
})

test('a server that stays away is an error, after a minute', async () => {
  const { status, err } = await add({ refusals: { 'task.watch new': Array(1000).fill(unavailable) } })
  assert.deepEqual([status, JSON.parse(err)], [14, { error: unavailable }])
})

test('a refusal ends the waiting at once', async () => {
  const { status, cloud } = await add({ refusals: { 'task.watch new': [{ code: 'denied', message: 'no' }] } })
  assert.deepEqual([status, cloud.calls.length], [5, 2])
})

const messageOf = (err: string) => (JSON.parse(err) as { error: { message: string } }).error.message

test('a task that nobody knows any more is not waited for', async () => {
  const { status, err } = await add({ steps: [{ kind: 'task', name: 'env/new', gone: true, unseen: true }, 'break'] })
  assert.match(`${status} ${messageOf(err)}`, /^6 there is no task [0-9a-f]{16} any more$/)
})

test('an ENV that was replaced by another of its name is not taken for the one that was made', async () => {
  const { status, err } = await add({ steps: [{ kind: 'env', name: 'new', other: envOf('new') }, done('new')] })
  assert.deepEqual([status, messageOf(err)], [6, 'ENV new was deleted and made again by somebody else'])
})

test('F17: waiting ends at its limit, says so, and the ENV goes on', async () => {
  const { status, err, cloud } = await rehearse('env add new -s micro --json -q --time-out 3', { vm: [vmOf('new.0')] })
  assert.deepEqual([status, messageOf(err)], [15, 'ENV new is not ready after 3 s; it is still being made'])
  assert.deepEqual(cloud.removals, [])
})

test('Ctrl-C ends the waiting, not the task', async () => {
  const { status, err, cloud } = await rehearse('env stop demo --json -q', { env: [envOf('demo')], interruptMs: 700 })
  assert.deepEqual([status, messageOf(err)], [16, 'interrupted; what was asked of ENV demo goes on'])
  assert.equal(cloud.puts.length, 1)
})

test('what is stopped already stays so and is asked for nothing; a stop that goes on is waited for', async () => {
  const stopped = envOf('demo', { spec: { stopped: true }, status: { task: 't1' } })
  const going = (state: 'running' | 'done', verb: 'stop' | 'update'): Stage => ({
    env: [stopped],
    task: [{ kind: 'task', name: 't1', uid: 't1', revision: '1', owner: 'ann', created: '2026-01-01T00:00:00.000Z', spec: { verb, subject: 'env/demo', limitSeconds: 9 }, status: { state, done: 0, total: 2 } }],
    steps: [{ kind: 'task', name: 't1', status: { state: 'done', done: 2 } }],
  })
  const outcome = async (stage: Stage) => {
    const { out, status, cloud } = await rehearse('env stop demo', stage)
    return [out.trim(), status, cloud.calls.includes('task.watch demo'), cloud.puts.length]
  }
  assert.deepEqual(await outcome(going('done', 'stop')), ['demo: stopped already', 0, false, 0])
  assert.deepEqual(await outcome(going('running', 'update')), ['demo: stopped already', 0, false, 0])
  assert.deepEqual(await outcome(going('running', 'stop')), ['demo: stopped', 0, true, 0])
})

const del = (stage: Stage) => rehearse('env del a b -q', { env: [envOf('a'), envOf('b')], ...stage })

test('deletion waits for all names, also over a break', async () => {
  const { status, cloud } = await del({ steps: [done('b', { unseen: true }), 'break', done('a')] })
  assert.deepEqual([status, cloud.calls], [0, ['env.remove a', 'env.get a', 'env.remove b', 'env.get b', 'task.watch a', 'task.watch a', 'task.watch b']])
  await assert.rejects(del({ steps: [done('a')] }), /does not end/)
})

test('what is gone before anybody could look is deleted, and of what somebody else removes the end is waited for', async () => {
  const gone = await rehearse('env del a', { env: [envOf('a')], refusals: { 'env.get a': [{ code: 'not_found', message: 'gone' }] } })
  assert.deepEqual([gone.status, gone.out, gone.cloud.calls], [0, 'a: deleted\n', ['env.remove a', 'env.get a']])
})

test('of several errors the highest status counts, in any order', async () => {
  const statusOf = async (line: string) => (await rehearse(line, { refusals: { 'env.remove x': [{ code: 'unavailable', message: 'gone' }] } })).status
  assert.deepEqual([await statusOf('env del x none'), await statusOf('env del none x')], [14, 14])
})

test('a change is of what was seen; if another came in between it is made anew, as the same task', async () => {
  const conflict = { code: 'conflict', message: 'ENV a was changed meanwhile' } as const
  const update = (conflicts: number) => rehearse('env update a -l never --no-wait', { env: [envOf('a')], refusals: { 'env.put a': Array(conflicts).fill(conflict) } })
  const { status, cloud } = await update(2)
  assert.deepEqual([status, cloud.calls], [0, ['env.get a', 'env.put a', 'env.get a', 'env.put a', 'env.get a', 'env.put a']])
  const { task } = cloud.puts[2]!.options as { task: string }
  assert.match(task, /^[0-9a-f]{16}$/)
  for (const put of cloud.puts) assert.deepEqual(put, { name: 'a', options: { spec: { ...envOf('a').spec, lifetimeSeconds: null }, expect: '7', task } })
  assert.equal((await update(5)).status, 8)
})
