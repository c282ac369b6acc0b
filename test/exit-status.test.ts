import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calledWith } from './command-line.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 10_000; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 5))) assert.ok(performance.now() < end, `${what} did not come in time`)
}

test('P05: how a guest ended is kept and shown, its log too, and it is told as an event', async () => {
  using home = temporaryDir('exit-status')
  await using made = await fakeCloud({ ...home, engine: { exitAfterMs: 400 } })
  const { cloud } = made
  await cloud.collection('env').put('e', { spec: { groups: [{ image: 'fake:micro', count: 1 }], lifetimeSeconds: null } })
  const vm = async () => (await cloud.collection('vm').get('e.0')).status
  await until(async () => (await vm())?.state === 'stopped', 'the end of the guest')
  assert.match((await vm())?.problem?.message ?? '', /the guest ended by itself: ended by itself/)
  const logs = await calledWith(cloud, 'env', 'logs', 'e', '-m', '0')
  assert.equal(logs.status, 0, logs.err)
  assert.notEqual(logs.out, '')
  const events = await calledWith(cloud, 'events', 'e')
  assert.match(events.out, /vm\/e\.0 +stopped +the guest ended by itself/)
})

test('P05: the status of a command, and of one that was killed, is passed on', async () => {
  using home = temporaryDir('exit-command')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: { groups: [{ image: 'fake:micro', count: 1 }], lifetimeSeconds: null } })
  await until(async () => (await made.cloud.collection('env').get('e')).status?.phase === 'ready', 'the ENV')
  assert.equal((await calledWith(made.cloud, 'env', 'run', 'e', '--cmd', 'exit 41')).status, 41)
  assert.equal((await calledWith(made.cloud, 'env', 'run', 'e', '--cmd', 'kill -TERM $$')).status, 143)
})

test('L13: what each host can run, and with which features, is told', async () => {
  using home = temporaryDir('features')
  await using made = await fakeCloud(home)
  const { items } = await made.cloud.collection('host').list()
  const [host] = items
  assert.equal(items.length, 1)
  assert.deepEqual(host?.status?.engines.map(({ name, features }) => [name, features['console'], features['pause'], features['simulated'], features['accel']]), [['fake', true, false, true, 'none']])
  assert.equal(host?.status?.networkFeatures?.['denyOutgoing'], true)
  const shown = await calledWith(made.cloud, 'status', '--server')
  assert.match(shown.out, /engines +fake 1 \(accel none/)
  assert.match(shown.out, /drivers +network fake \(addresses, /)
  const { hosts } = JSON.parse((await calledWith(made.cloud, 'status', '--server', '--json')).out) as { hosts: { networkFeatures: object; engines: object[] }[] }
  assert.deepEqual(hosts[0]?.networkFeatures, host?.status?.networkFeatures)
})
