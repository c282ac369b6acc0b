import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { generateKeyPairSync } from 'node:crypto'
import { realWorld, type World } from '../src/base/world.ts'
import { selfSigned } from '../src/bin/certificate-der.ts'
import type { Link, NetworkDriver } from '../src/drivers/network/network.ts'
import type { Cloud } from '../src/model/cloud.ts'
import type { EnvAsked } from '../src/model/env.ts'
import type { Finding, SessionFrame } from '../src/model/session.ts'
import { memoryStore } from '../src/store/memory.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

const spec = (count: number, more: Partial<EnvAsked> = {}): EnvAsked => ({ groups: [{ image: 'fake:micro', count }], lifetimeSeconds: null, ...more })

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 10_000; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 5))) assert.ok(performance.now() < end, `${what} did not come in time`)
}

const ready = (cloud: Cloud, env: string) => until(async () => (await cloud.collection('env').get(env)).status?.phase === 'ready', env)

async function examined(cloud: Cloud, fix = false): Promise<{ findings: Finding[]; leaks: { subject: string; kind: string; fixed?: boolean }[] }> {
  await using session = await cloud.open({ type: 'doctor', fix })
  const frames: SessionFrame[] = await Array.fromAsync(session.output)
  assert.deepEqual(frames.flatMap((frame) => (frame.type === 'problem' ? [frame.problem] : [])), [])
  return {
    findings: frames.flatMap((frame) => (frame.type === 'finding' ? [frame.finding] : [])),
    leaks: frames.flatMap((frame) => (frame.type === 'leak' ? [{ subject: frame.leak.subject, kind: frame.leak.kind, ...(frame.fixed ? { fixed: true } : {}) }] : [])),
  }
}

const bad = ({ findings }: { findings: Finding[] }) => findings.filter(({ state }) => state === 'bad')

test('N07: a healthy server has nothing bad, every check says something, and what is poor has a remedy', async () => {
  using home = temporaryDir('doctor')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(3) })
  await ready(made.cloud, 'e')
  const found = await examined(made.cloud)
  assert.deepEqual(bad(found), [])
  assert.deepEqual(found.leaks, [])
  assert.deepEqual([...new Set(found.findings.map(({ check }) => check))].sort(), ['clock', 'data', 'drivers', 'engine', 'images', 'ledger', 'network', 'ports', 'space'])
  for (const { state, remedy, message } of found.findings) assert.ok(state === 'good' || remedy, message)
})

test('H14: fault 39: leaks are named and, with fix, taken away by the drivers; what others put there is named and stays', async () => {
  using home = temporaryDir('doctor-leaks')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(2) })
  await ready(made.cloud, 'e')
  writeFileSync(join(home.dir, 'engine', 'stray'), '')
  appendFileSync(join(home.dir, 'stranger'), '')
  writeFileSync(join(home.dir, 'store.new'), '')
  utimesSync(join(home.dir, 'store.new'), 1, 1)
  const before = await examined(made.cloud)
  assert.deepEqual(before.leaks.map(({ subject }) => subject).sort(), [join(home.dir, 'engine', 'stray'), join(home.dir, 'store.new'), join(home.dir, 'stranger')])
  const mended = await examined(made.cloud, true)
  assert.deepEqual(mended.leaks.filter(({ fixed }) => !fixed).map(({ subject }) => subject), [join(home.dir, 'stranger')])
  assert.deepEqual(readdirSync(join(home.dir, 'engine')), ['guests'])
  assert.ok(existsSync(join(home.dir, 'stranger')) && !existsSync(join(home.dir, 'store.new')))
  const { items } = await made.cloud.collection('vm').list({ under: 'e' })
  assert.deepEqual(items.map(({ status }) => status?.state), ['ready', 'ready'], 'no VM was touched')
  assert.deepEqual((await examined(made.cloud)).leaks.length, 1)
})

test('H14: guests, volumes and links of nobody are taken away while the server runs', async () => {
  using home = temporaryDir('doctor-strays')
  const drivers: { engine?: (id: string) => Promise<void>; network?: NetworkDriver } = {}
  const around = {
    engine: <E extends { start(plan: never): Promise<void> }>(engine: E) => {
      drivers.engine = (id) => engine.start({ id, hostname: 'x', cpu: 1, memMb: 1, boot: 'kernel', files: {}, disks: [], nics: [], ports: [], options: {} } as never)
      return engine
    },
    network: (network: NetworkDriver) => (drivers.network = { ...network, leaks: async (owned) => (await network.inspect()).filter((id) => !owned.some((link) => link.id === id)).map((id) => ({ kind: 'nft' as const, subject: id, why: 'x' })) }),
  }
  await using made = await fakeCloud({ ...home, around })
  await made.cloud.collection('env').put('e', { spec: spec(2) })
  await ready(made.cloud, 'e')
  await drivers.engine?.('nobody.9')
  const link: Link = { id: 'nobody.8', slice: '10.77.200.0/28', ip: '10.77.200.2', mac: '52:54:00:4d:c8:02', ports: {}, denyOutgoing: false, deny: [], peers: [] }
  await drivers.network?.change({ put: [link], remove: [] })
  assert.equal((await examined(made.cloud)).leaks.length, 2)
  const { leaks } = await examined(made.cloud, true)
  assert.deepEqual(leaks.map(({ fixed }) => fixed), [true, true])
  assert.deepEqual((await examined(made.cloud)).leaks, [])
  assert.equal((await drivers.network?.inspect())?.length, 2, 'the links of the VMs stay')
})

test('H14: what a crash left behind is taken away when the server starts again', async () => {
  using home = temporaryDir('doctor-start')
  await using store = memoryStore({ world: realWorld })
  let start: ((id: string) => Promise<void>) | undefined
  let network: NetworkDriver | undefined
  const around = {
    engine: <E extends { start(plan: never): Promise<void> }>(engine: E) => {
      start = (id) => engine.start({ id, hostname: 'x', cpu: 1, memMb: 1, boot: 'kernel', files: {}, disks: [], nics: [], ports: [], options: {} } as never)
      return engine
    },
    network: (one: NetworkDriver) => (network = one),
  }
  {
    await using made = await fakeCloud({ ...home, store, around })
    await made.cloud.collection('env').put('e', { spec: spec(2) })
    await ready(made.cloud, 'e')
    await start?.('nobody.9')
    await network?.change({ put: [{ id: 'nobody.8', slice: '10.77.200.0/28', ip: '10.77.200.2', mac: '52:54:00:4d:c8:02', ports: {}, denyOutgoing: false, deny: [], peers: [] }], remove: [] })
  }
  await using made = await fakeCloud({ ...home, store, around })
  assert.deepEqual(await made.leaks(), [])
  assert.equal((await network?.inspect())?.length, 2)
  await until(async () => (await made.cloud.collection('vm').list({ under: 'e' })).items.every(({ status }) => status?.state === 'ready'), 'its VMs')
})

test('a link that somebody took from a VM is found missing and made anew', async () => {
  using home = temporaryDir('doctor-link')
  let network: NetworkDriver | undefined
  await using made = await fakeCloud({ ...home, around: { network: (one) => (network = one) } })
  await made.cloud.collection('env').put('e', { spec: spec(2) })
  await ready(made.cloud, 'e')
  const [first = ''] = (await network?.inspect()) ?? []
  await network?.change({ put: [], remove: [first] })
  assert.match(bad(await examined(made.cloud))[0]?.message ?? '', new RegExp(`1 of 2 VMs has lost.*${first}`))
  const mended = bad(await examined(made.cloud, true))
  assert.deepEqual(mended.map(({ check, fixed }) => [check, fixed]), [['network', true]])
  assert.equal((await network?.inspect())?.length, 2)
})

test('D03: a ledger that is wrong is told, and set right by a fix', async () => {
  using home = temporaryDir('doctor-ledger')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(2) })
  await ready(made.cloud, 'e')
  const right = (await made.store.get('desired/ledger'))?.value
  await made.store.commit([{ key: 'desired/ledger', value: { cpu: 1, memMb: 2, diskMb: 3, vms: 4 } }])
  assert.deepEqual(bad(await examined(made.cloud)).map(({ check, fixed }) => [check, fixed]), [['ledger', undefined]])
  assert.deepEqual(bad(await examined(made.cloud, true)).map(({ check, fixed }) => [check, fixed]), [['ledger', true]])
  assert.deepEqual((await made.store.get('desired/ledger'))?.value, right)
  assert.deepEqual(bad(await examined(made.cloud)), [])
})

test('fault 29: records that nobody can read are named; what can go is put aside and named, what VMs hang on stays', async () => {
  using home = temporaryDir('doctor-records')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(1) })
  await ready(made.cloud, 'e')
  const uid = (await made.cloud.collection('env').get('e')).uid
  await made.store.commit([
    { key: `actual/applied/${uid}x/one`, value: { revision: 'seven' } },
    { key: 'desired/phase/none', value: { uid: 'uidnone', phase: 'flying', since: new Date().toISOString() } },
    { key: 'later/thing', value: 1 },
  ])
  const found = await examined(made.cloud)
  assert.deepEqual(bad(found).map(({ message }) => message.split(' does')[0] ?? '').toSorted((a, b) => (a < b ? -1 : 1)), [`the record actual/applied/${uid}x/one`, 'the record desired/phase/none'])
  assert.ok(found.findings.some(({ state, message }) => state === 'poor' && message.includes('later/thing')))
  const mended = await examined(made.cloud, true)
  assert.deepEqual(bad(mended).map(({ fixed }) => fixed), [true, true])
  const lines = readFileSync(join(home.dir, 'set-aside.ndjson'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { key: string; text: string; why: string })
  assert.deepEqual(lines.map(({ key }) => key).sort(), [`actual/applied/${uid}x/one`, 'desired/phase/none'])
  assert.match(lines.find(({ key }) => key.startsWith('desired'))?.text ?? '', /flying/)
  assert.equal(await made.store.get('desired/phase/none'), undefined)
  assert.ok(await made.store.get('later/thing'), 'what a later version may have written stays')
})

test('fault 29: an ENV whose record does not fit stays while VMs of it run: to take it away would be to destroy them', async () => {
  using home = temporaryDir('doctor-env')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(1) })
  await ready(made.cloud, 'e')
  const { value } = (await made.store.get('desired/env/e')) as { value: { spec: object } }
  await made.store.commit([{ key: 'desired/env/e', value: { ...value, spec: { ...value.spec, lifetimeSeconds: 5 } } }])
  const found = bad(await examined(made.cloud, true))
  assert.deepEqual(found.map(({ check, fixed }) => [check, fixed]), [['data', undefined]])
  assert.match(found[0]?.message ?? '', /desired\/env\/e does not fit: lifetimeSeconds is "5"/)
  assert.match(found[0]?.remedy ?? '', /VMs of it run/)
  assert.ok(await made.store.get('desired/env/e'))
})

test('fault 29: a claim that nobody can read is written anew from what the VM says, and its VM lives on', async () => {
  using home = temporaryDir('doctor-claim')
  await using made = await fakeCloud(home)
  await made.cloud.collection('env').put('e', { spec: spec(1) })
  await ready(made.cloud, 'e')
  const [claim] = (await made.store.list('claim/vm/')).items
  const vm = (await made.store.list('actual/vm/')).items[0]?.value
  await made.store.commit([{ key: claim?.key ?? '', value: { host: 'one', env: 5 } }])
  assert.deepEqual(bad(await examined(made.cloud, true)).map(({ check, fixed }) => [check, fixed]), [['data', true]])
  assert.deepEqual((await made.store.get(claim?.key ?? ''))?.value, claim?.value)
  assert.deepEqual((await made.store.list('actual/vm/')).items[0]?.value, vm)
})

test('images that are none and an image path that is not there are named', async () => {
  using home = temporaryDir('doctor-images')
  const dir = join(home.dir, 'images', 'mine')
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'fake:broken'), 'no disk at all')
  utimesSync(join(dir, 'fake:broken'), 1, 1)
  await using made = await fakeCloud({ ...home, imageDirs: [dir, join(home.dir, 'nowhere')] })
  const found = bad(await examined(made.cloud)).map(({ check, message }) => `${check} ${message}`)
  assert.equal(found.length, 2, found.join('\n'))
  assert.match(found.join(), /nowhere does not exist/)
  assert.match(found.join(), /fake:broken is not a usable image: it is neither qcow2/)
})

test('fault 39: what an interrupted build of an image left is taken away, but not while the build runs', async () => {
  using home = temporaryDir('doctor-build')
  const cache = join(home.dir, 'images')
  await using made = await fakeCloud(home)
  for (const name of ['.micro.new', '.demo-os.new']) mkdirSync(join(cache, name, 'work'), { recursive: true })
  const building = spawn('flock', [join(cache, '.demo-os.lock'), 'sleep', '60'], { stdio: 'ignore' })
  try {
    await until(async () => existsSync(join(cache, '.demo-os.lock')), 'the lock')
    await new Promise((resolve) => setTimeout(resolve, 100))
    const left = (await examined(made.cloud)).findings.filter(({ check, state }) => check === 'images' && state === 'poor')
    assert.deepEqual(left.map(({ message }) => /build of (\S+)/.exec(message)?.[1]), ['micro'])
    const { findings } = await examined(made.cloud, true)
    assert.ok(findings.some(({ check, fixed }) => check === 'images' && fixed))
    assert.deepEqual([existsSync(join(cache, '.micro.new')), existsSync(join(cache, '.demo-os.new'))], [false, true])
  } finally {
    building.kill('SIGKILL')
  }
})

test('the clock: behind what is on record, and set while the server ran', async () => {
  using home = temporaryDir('doctor-clock')
  let aheadMs = 0
  const world: World = { ...realWorld, now: () => Date.now() + aheadMs }
  await using made = await fakeCloud({ ...home, world })
  await made.cloud.collection('env').put('e', { spec: spec(1) })
  await ready(made.cloud, 'e')
  const clockOf = async () => (await examined(made.cloud)).findings.filter(({ check, message }) => check === 'clock' && !message.includes('NTP')).map(({ state, message }) => `${state} ${message}`)
  assert.deepEqual(await clockOf(), ['good it agrees with what is on record'])
  aheadMs = -3_630_000
  const [jump = '', behind = '', ...more] = await clockOf()
  assert.match(jump, /^poor it was set 1 h back while the server ran$/)
  assert.match(behind, /^bad it is 1 h behind what is on record/)
  assert.deepEqual(more, [])
})

test('public ports: a program that listens on one, and a range that is used up', async () => {
  using home = temporaryDir('doctor-ports')
  const stranger = createServer()
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
  const port = (stranger.address() as { port: number }).port
  try {
    await using made = await fakeCloud({ ...home, ports: { from: port, to: port } })
    const portsOf = async () => (await examined(made.cloud)).findings.filter(({ check }) => check === 'ports').map(({ state, message }) => `${state} ${message}`)
    assert.deepEqual(await portsOf(), [`good 0 of 1 public ports (${port} to ${port}) are given to VMs`, `poor other programs listen on public ports that VMs may be given: ${port}`])
    await made.cloud.collection('env').put('e', { spec: { groups: [{ image: 'fake:micro', count: 1, ports: [80] }], lifetimeSeconds: null } })
    await ready(made.cloud, 'e')
    assert.deepEqual(await portsOf(), [`bad 1 of 1 public ports (${port} to ${port}) are given to VMs`])
  } finally {
    stranger.close()
  }
})

test('a certificate that ends soon, or has ended', async () => {
  using home = temporaryDir('doctor-certificate')
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  let days = 100
  const certificate = () => selfSigned({ key, names: ['localhost'], from: Date.now() - 400 * 86_400_000, to: Date.now() + days * 86_400_000, serial: Buffer.from([0x41]) })
  await using made = await fakeCloud({ ...home, host: { certificate } })
  for (const [left, state] of [[100, 'good'], [20, 'poor'], [1, 'bad'], [-1, 'bad']] as const) {
    days = left
    assert.deepEqual((await examined(made.cloud)).findings.filter(({ check }) => check === 'certificate').map((one) => one.state), [state], `${left} days`)
  }
})

test('drivers that cannot be used are told with the reason', async () => {
  using home = temporaryDir('doctor-drivers')
  await using made = await fakeCloud({ ...home, host: { unusable: [{ kind: 'volume', name: 'reflink', why: 'ext4 cannot' }] } })
  const [driver] = (await examined(made.cloud)).findings.filter(({ check }) => check === 'drivers')
  assert.equal(driver?.state, 'poor')
  assert.match(driver?.message ?? '', /volume reflink cannot be used: ext4 cannot/)
})
