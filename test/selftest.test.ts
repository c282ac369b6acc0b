import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guard } from '../src/cloud/guard.ts'
import type { Engine } from '../src/drivers/engine/engine.ts'
import type { Cloud } from '../src/model/cloud.ts'
import { fail } from '../src/model/errors.ts'
import { calledOn, calledWith } from './command-line.ts'
import { type FakeCloud, type FakeCloudOptions, fakeCloud, temporaryDir } from './fake-cloud.ts'

interface Verdict {
  feature: string
  result: 'pass' | 'fail' | 'skip'
  seconds: number
  reason?: string
}

/** As whoever a token says they are. */
const asUser = ({ cloud, access }: FakeCloud) => (token: string): Cloud => {
  const who = () => access.authenticate(token)?.user ?? fail('unauthenticated', 'this token is not known')
  return { about: async (call) => guard(cloud, who()).about(call), collection: (kind) => guard(cloud, who()).collection(kind), open: async (request, call) => guard(cloud, who()).open(request, call) }
}

async function tested(options: Omit<FakeCloudOptions, 'dir'> = {}, ...flags: string[]): Promise<{ status: number; verdicts: Map<string, Verdict>; made: FakeCloud }> {
  const home = temporaryDir('selftest')
  const made = await fakeCloud({ dir: home.dir, ...options })
  const { status, out, err } = await calledOn(made.cloud, { args: ['selftest', '--json', ...flags], connect: asUser(made) })
  const { features } = JSON.parse(out === '' ? assert.fail(err) : out) as { features: Verdict[] }
  const dispose = made[Symbol.asyncDispose]
  return { status, verdicts: new Map(features.map((one) => [one.feature, one])), made: { ...made, [Symbol.asyncDispose]: async () => (await dispose(), home[Symbol.dispose]()) } }
}

const isEmpty = async ({ cloud }: FakeCloud) => {
  assert.deepEqual((await cloud.collection('env').list()).items.map(({ name }) => name), [])
  assert.deepEqual((await cloud.collection('user').list()).items.map(({ name }) => name), [])
}

test('N07: on the fake engine all that can be seen passes, and what cannot is skipped with the reason', async () => {
  const { status, verdicts, made } = await tested()
  await using _ = made
  assert.equal(status, 0)
  const of = (result: Verdict['result']) => [...verdicts.values()].filter((one) => one.result === result).map(({ feature }) => feature)
  assert.deepEqual(of('fail'), [])
  assert.deepEqual(of('pass'), ['api', 'images', 'create', 'users', 'events', 'ping', 'exec', 'stop-start', 'delete', 'clean-up'])
  assert.deepEqual(of('skip'), ['cpu', 'memory', 'disk', 'ports', 'udp', 'neighbours', 'isolation', 'peers', 'deny-outgoing', 'deny-list', 'data'])
  for (const { reason, result } of verdicts.values()) assert.equal(result === 'skip', reason === 'the engine fake only simulates guests')
  await isEmpty(made)
})

test('N07: who is no admin has what only an admin may do skipped', async () => {
  using home = temporaryDir('selftest-user')
  await using made = await fakeCloud(home)
  await made.cloud.collection('user').put('ann', { spec: { role: 'user' } })
  const { status, out } = await calledWith(guard(made.cloud, { name: 'ann', role: 'user' }), 'selftest', '--only', 'create,users,delete')
  assert.equal(status, 0, out)
  assert.match(out, /^SKIP {2}users .*you are ann, and only an admin makes users$/m)
  assert.match(out, /^PASS {2}delete /m)
})

test('N07: guests that cannot be made fail one feature and skip the others, and nothing stays', async () => {
  const { status, verdicts, made } = await tested({ engine: { failStart: ['*.1'] } })
  await using _ = made
  assert.equal(status, 1)
  assert.equal(verdicts.get('create')?.result, 'fail')
  assert.match(verdicts.get('create')?.reason ?? '', /told not to start/)
  assert.equal(verdicts.get('exec')?.reason, 'no VM could be made')
  assert.equal(verdicts.get('clean-up')?.result, 'pass')
  await isEmpty(made)
})

/** A cloud of which one thing is broken, and the feature that must see it. */
const breakages: [feature: string, why: RegExp, options: Omit<FakeCloudOptions, 'dir'>][] = [
  ['exec', /a command gave/, { around: { engine: (engine: Engine): Engine => ({ ...engine, channel: (id) => { const channel = engine.channel!(id); return { ...channel, exec: async (command, options, call) => (await channel.exec(command, options, call), { code: 0 }) } } }) } }],
  ['ping', /did not answer within/, { engine: { silent: ['*.1'] } }],
  ['delete', /was left behind/, { around: { engine: (engine: Engine): Engine => ({ ...engine, leaks: async (owned) => [...((await engine.leaks?.(owned)) ?? []), { kind: 'process', subject: '7', why: 'nobody owns it' }] }) } }],
  ['stop-start', /did not come within|failed/, { around: { engine: (engine: Engine): Engine => { let stopped = false; return { ...engine, stop: async (id, graceMs, call) => (await engine.stop(id, graceMs, call), void (stopped = true)), start: async (plan, call) => (stopped ? fail('failed', 'it does not start a second time') : engine.start(plan, call)) } } } }],
]

for (const [feature, why, options] of breakages) {
  test(`N07: what is broken is seen: ${feature}`, { timeout: 60_000 }, async () => {
    const { status, verdicts, made } = await tested(options, '--only', `create,${feature}`)
    await using _ = made
    assert.equal(status, 1, JSON.stringify([...verdicts.values()]))
    assert.deepEqual([...verdicts.values()].filter(({ result }) => result === 'fail').map((one) => one.feature), [feature])
    assert.match(verdicts.get(feature)?.reason ?? '', why)
  })
}

test('N07: a test that is interrupted takes away what it made', async () => {
  using home = temporaryDir('selftest-interrupted')
  await using made = await fakeCloud({ ...home, engine: { bootMs: 60_000 } })
  const stop = new AbortController()
  const envs = async () => (await made.cloud.collection('env').list()).items.length
  const calling = calledOn(made.cloud, { args: ['selftest'], signal: stop.signal, connect: asUser(made) })
  while ((await envs()) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  stop.abort()
  const { status, err } = await calling
  assert.equal(status, 16)
  assert.match(err, /interrupted; what it made was taken away/)
  await isEmpty(made)
})

test('a feature that there is not is refused with what was meant, and --keep keeps', async () => {
  using home = temporaryDir('selftest-keep')
  await using made = await fakeCloud(home)
  const wrong = await calledWith(made.cloud, 'selftest', '--only', 'pings')
  assert.equal(wrong.status, 2)
  assert.match(wrong.err, /there is no feature "pings".*did you mean ping\?/s)
  const { status, out } = await calledWith(made.cloud, 'selftest', '--keep', '--only', 'create')
  assert.equal(status, 0)
  assert.ok(!out.includes('clean-up'))
  const [env] = (await made.cloud.collection('env').list()).items
  assert.match(env?.name ?? '', /^selftest-[0-9a-f]{6}-a$/)
  assert.equal(env?.spec.lifetimeSeconds, 1800, 'it ends by itself')
})
