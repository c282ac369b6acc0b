import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rehearse, type Stage } from './rehearsal.ts'
import { envOf, vmOf } from './specimens.ts'

const unavailable = { code: 'unavailable', message: 'no tt server answers' } as const
const add = (stage: Stage) => rehearse('env add new -s micro -q --json', { vm: [vmOf('new.0')], ...stage })
const ready = { kind: 'env', name: 'new', status: { phase: 'ready', ready: 1 } } as const

test('a watch that breaks is begun again, and the state it begins with is heeded', async () => {
  const { status, cloud } = await add({ steps: [{ ...ready, unseen: true }, 'break'] })
  assert.deepEqual([status, cloud.calls], [0, ['env.put new', 'env.watch', 'env.watch', 'vm.list new']])
})

test('a server that comes back within a minute is waited for', async () => {
  const { status, cloud } = await add({ steps: ['break', ready], refusals: { 'env.watch': [unavailable, ...Array(20).fill(unavailable)] } })
  assert.equal(status, 0)
  assert.ok(cloud.calls.length > 20)
})

test('a server that stays away is an error, after a minute', async () => {
  const { status, err } = await add({ refusals: { 'env.watch': Array(1000).fill(unavailable) } })
  assert.deepEqual([status, JSON.parse(err)], [14, { error: unavailable }])
})

test('a refusal ends the waiting at once', async () => {
  const { status, cloud } = await add({ refusals: { 'env.watch': [{ code: 'denied', message: 'no' }] } })
  assert.deepEqual([status, cloud.calls.length], [5, 2])
})

for (const [what, steps] of [
  ['deleted while nobody listened', [{ kind: 'env', name: 'new', gone: true, unseen: true }, 'break']],
  ['replaced by another of its name', [{ kind: 'env', name: 'new', other: envOf('new') }]],
  ['marked for removal', [{ kind: 'env', name: 'new', other: envOf('new', { removing: '2026-01-01T00:00:00.000Z' }) }]],
] as const)
  test(`an ENV that is ${what} is not waited for`, async () => {
    const { status, err } = await add({ steps: [...steps] })
    assert.deepEqual([status, (JSON.parse(err) as { error: { message: string } }).error.message], [6, 'ENV new was deleted before it was ready'])
  })

const del = (stage: Stage) => rehearse('env del a b -q', { env: [envOf('a'), envOf('b')], ...stage })
const goneA = { kind: 'env', name: 'a', gone: true } as const
const goneB = { kind: 'env', name: 'b', gone: true } as const

test('deletion waits for all names, also over a break', async () => {
  const { status, cloud } = await del({ steps: [{ ...goneA, unseen: true }, 'break', goneB] })
  assert.deepEqual([status, cloud.calls.slice(2)], [0, ['env.watch', 'env.watch']])
  await assert.rejects(del({ steps: [goneA] }), /does not end/)
})

test('a new ENV of the name does not keep deletion waiting', async () => {
  const { status } = await del({ steps: [goneB, { kind: 'env', name: 'a', other: envOf('a') }] })
  assert.equal(status, 0)
})

test('of several errors the highest status counts, in any order', async () => {
  const statusOf = async (line: string) => (await rehearse(line, { refusals: { 'env.remove x': [{ code: 'unavailable', message: 'gone' }] } })).status
  assert.deepEqual([await statusOf('env del x none'), await statusOf('env del none x')], [14, 14])
})

test('a change is of what was seen; if another came in between it is made anew', async () => {
  const conflict = { code: 'conflict', message: 'ENV a was changed meanwhile' } as const
  const update = (conflicts: number) => rehearse('env update a -l never', { env: [envOf('a')], refusals: { 'env.put a': Array(conflicts).fill(conflict) } })
  const { status, cloud } = await update(2)
  assert.deepEqual([status, cloud.calls], [0, ['env.get a', 'env.put a', 'env.get a', 'env.put a', 'env.get a', 'env.put a']])
  assert.deepEqual(cloud.puts[2], { name: 'a', options: { spec: { ...envOf('a').spec, lifetimeSeconds: null }, expect: '7' } })
  assert.equal((await update(5)).status, 8)
})
