import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ServerGround, serverGround } from './e2e/ground.ts'

const root = join(import.meta.dirname, '..')
const roomy = ['--engine', 'fake', '--cpu-total', '1000', '--mem-total', '100000', '--disk-total', '1000000']

interface Line {
  at: string
  level: string
  message: string
  place: string
  [field: string]: unknown
}

const lines = (server: ServerGround): Line[] => server.log().split('\n').filter(Boolean).map((line) => JSON.parse(line) as Line)

async function eventually<T>(what: string, look: () => T | undefined | Promise<T | undefined>, limitMs = 10_000): Promise<T> {
  for (const end = Date.now() + limitMs; ; ) {
    const found = await look()
    if (found !== undefined) return found
    assert.ok(Date.now() < end, `${what} did not come`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const pidOf = (server: ServerGround): number => (JSON.parse(readFileSync(join(server.dir, 'data/server.json'), 'utf8')) as { pid: number }).pid
const tokenOf = (server: ServerGround): string => readFileSync(join(server.dir, 'data/token'), 'utf8').trim()
const boots = () => {
  const disk = Buffer.alloc(1 << 20)
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}

test('H01: a server starts with every flag an operator names, offers exactly that, and a wrong flag is answered with the right one', { timeout: 60_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-operator-'))
  try {
    await using server = serverGround(['--engine', 'fake', '--image-path', dir, '--cpu-total', '3', '--mem-total', '2048', '--disk-total', '30000', '--serv-addr', '127.0.0.1'])
    await server.start()
    const { hosts } = (await server.json('status', '--server')) as { hosts: { total: object }[] }
    assert.partialDeepStrictEqual(hosts[0]?.total, { cpu: 3, memMb: 2048, diskMb: 30_000 })
  } finally {
    rmSync(dir, { recursive: true })
  }
  const wrong = spawnSync(join(root, 'ttserver'), ['--image-pathh', '/tmp'], { encoding: 'utf8' })
  assert.deepEqual([wrong.status, wrong.stderr], [2, 'ttserver: unknown flag --image-pathh\n  did you mean --image-path?\n'])
  assert.match(spawnSync(join(root, 'ttserver'), ['--help'], { encoding: 'utf8' }).stdout, /--image-path DIR.*--on-exit WHAT/s)
})

test('L05: a setting comes from flag, environment, file or default, in this order, and says from where', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-operator-'))
  const file = join(dir, 'config.json')
  writeFileSync(file, JSON.stringify({ memTotal: 100, cpuTotal: 2, diskTotal: 3 }))
  try {
    const ran = spawnSync(join(root, 'ttserver'), ['settings', '--json', '--config', file, '--cpu-total', '4'], { encoding: 'utf8', env: { ...process.env, TT_CPU_TOTAL: '3', TT_DISK_TOTAL: '5' } })
    assert.equal(ran.status, 0, ran.stderr)
    const { settings } = JSON.parse(ran.stdout) as { settings: { key: string; value: string; origin: string }[] }
    const of = (name: string) => settings.filter(({ key }) => key === name).map(({ value, origin }) => [value, origin])
    assert.deepEqual([of('cpuTotal'), of('diskTotal'), of('memTotal'), of('servPort')], [[['4', '--cpu-total']], [['5', 'TT_DISK_TOTAL']], [['100', file]], [['9527', 'default']]])
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('H02: servers on one machine share nothing: each has its own mark and its own ENVs', { timeout: 60_000 }, async () => {
  await using one = serverGround(roomy)
  await using two = serverGround(roomy)
  await Promise.all([one.start(), two.start()])
  const placeOf = (server: ServerGround) => JSON.parse(readFileSync(join(server.dir, 'data/place.json'), 'utf8')) as Record<string, unknown>
  const [first, second] = [placeOf(one), placeOf(two)]
  assert.notEqual(first['mark'], second['mark'])
  assert.equal((await one.tt('env', 'add', 'only-here', '-s', 'micro')).code, 0)
  assert.deepEqual(((await two.json('env', 'list')) as { envs: unknown[] }).envs, [])
})

test('H03: an image path VMs cannot read is named at the start, with the directory that bars the way', { timeout: 60_000, skip: process.getuid?.() === 0 ? false : 'only root starts VMs as other users' }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-operator-'))
  try {
    mkdirSync(join(dir, 'images'), { mode: 0o755 })
    await using server = serverGround([...roomy, '--image-path', `${join(dir, 'images')},${join(dir, 'none')}`])
    await server.start()
    const warnings = () => lines(server).filter(({ message }) => message.startsWith('an image path'))
    const said = warnings().map(({ why }) => why)
    assert.deepEqual(said, [`${dir}/images cannot be read by VMs, which run as users of their own: ${dir} is for its owner only; \`chmod o+x ${dir}\` lets them pass`, `${dir}/none does not exist`])
    chmodSync(dir, 0o711)
    writeFileSync(join(dir, 'images/fake:late'), boots())
    await eventually('the image', async () => ((await server.tt('image', 'list')).stdout.includes('fake:late') ? true : undefined), 15_000)
    assert.equal(warnings().length, 2, 'each is said once')
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('H04: an image that appears is offered within 15 s without a restart, one that is removed is not', { timeout: 90_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-operator-'))
  try {
    chmodSync(dir, 0o755)
    await using server = serverGround([...roomy, '--image-path', dir])
    await server.start()
    const offered = async () => (await server.tt('image', 'list')).stdout.includes('fake:new')
    assert.equal(await offered(), false)
    writeFileSync(join(dir, 'fake:new'), boots())
    await eventually('the image', async () => (await offered()) || undefined, 15_000)
    assert.equal((await server.tt('env', 'add', 'of-it', '-s', 'new')).code, 0)
    rmSync(join(dir, 'fake:new'))
    await eventually('its end', async () => !(await offered()) || undefined, 15_000)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('H14: what a crash leaves on the machine and no record explains is taken away at the next start', { timeout: 60_000 }, async () => {
  await using server = serverGround(roomy)
  await server.start()
  assert.equal((await server.tt('env', 'add', 'lost', '-s', 'micro', '-d', '2')).code, 0)
  await server.stop('SIGKILL')
  rmSync(join(server.dir, 'data/store'), { recursive: true })
  assert.equal(readdirSync(join(server.dir, 'data/volume/fake')).length > 0, true)
  await server.start()
  assert.equal(lines(server).filter(({ message }) => message === 'removing a guest that no claim explains').length, 3)
  assert.deepEqual(readdirSync(join(server.dir, 'data/volume/fake')), [])
  assert.equal((await server.tt('doctor', '--leaks')).code, 0)
})

test('H16: every line is JSON with time, level and place in the code; those of a request have its id', { timeout: 60_000 }, async () => {
  await using server = serverGround([...roomy, '--log-level', 'debug'])
  await server.start()
  const answer = await fetch(`http://127.0.0.1:${server.port}/v1/env`, { headers: { authorization: `Bearer ${tokenOf(server)}`, 'x-request-id': 'mine-7' } })
  await answer.arrayBuffer()
  const own = await eventually('its line', () => lines(server).find(({ request }) => request === 'mine-7'))
  assert.equal(answer.headers.get('x-request-id'), 'mine-7')
  assert.deepEqual([own.level, own.message, own.status, own['path']], ['debug', 'answered', 200, '/v1/env'])
  for (const line of lines(server)) {
    assert.match(line.at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.ok(['debug', 'info', 'warn', 'error'].includes(line.level), line.level)
    assert.match(line.place, /^[a-z]+\/[a-z/-]+\.[tj]s:\d+$/)
  }
  assert.ok(!server.log().includes(tokenOf(server)), 'no secret is logged')
})

test('H17: without root it runs where the engine permits, and says which right is missing for the rest', { timeout: 60_000 }, async (context) => {
  const uid = 65_534
  const allowed = process.getuid?.() === 0 && spawnSync(process.execPath, [join(root, 'src/bin/ttserver.ts'), '--version'], { uid, gid: uid }).status === 0
  if (!allowed) return context.skip('only root can become another user, and that user must be able to read this checkout')
  const dir = mkdtempSync(join(tmpdir(), 'tt-operator-'))
  chownSync(dir, uid, uid)
  const log = join(dir, 'log')
  const server = spawn(process.execPath, [join(root, 'src/bin/ttserver.ts'), '--serv-port', String(19_000 + (process.pid % 900)), '--data-dir', join(dir, 'data'), '--log-path', log, '--engine', 'fake', '--network', 'nftables,user-mode', '--volume', 'fake'], { uid, gid: uid, env: { HOME: dir, PATH: process.env['PATH'] }, stdio: 'ignore' })
  const ended = new Promise((resolve) => server.once('exit', resolve))
  try {
    const text = await eventually('the server', () => (existsSync(log) && readFileSync(log, 'utf8').includes('"message":"serving"') ? readFileSync(log, 'utf8') : undefined))
    assert.match(text, /"name":"nftables","why":"the right to change the network is missing: run as root, or with CAP_NET_ADMIN"/)
    assert.match(text, /"network":"user-mode"/)
  } finally {
    server.kill('SIGTERM')
    await ended
    rmSync(dir, { recursive: true, force: true })
  }
})

test('L06: SIGHUP takes over what can change in life and names what needs a restart; ENVs notice nothing', { timeout: 60_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-operator-'))
  const config = join(dir, 'config.json')
  const set = (values: object) => writeFileSync(config, JSON.stringify(values))
  try {
    chmodSync(dir, 0o755)
    mkdirSync(join(dir, 'images'), { mode: 0o755 })
    writeFileSync(join(dir, 'images/fake:more'), boots())
    set({ memTotal: 4096, cpuMax: 4 })
    await using server = serverGround(['--engine', 'fake', '--config', config])
    await server.start()
    assert.equal((await server.tt('env', 'add', 'steady', '-s', 'micro')).code, 0)
    assert.equal((await server.tt('env', 'add', 'large', '-s', 'micro', '-C', '6')).code, 2)
    const before = await server.json('env', 'show', 'steady')

    set({ memTotal: 8192, cpuMax: 8, logLevel: 'debug', imagePath: [join(dir, 'images')], subnet: '10.99.0.0/16' })
    process.kill(pidOf(server), 'SIGHUP')
    const done = await eventually('the reload', () => lines(server).find(({ message }) => message === 'settings were read again'))
    assert.deepEqual([(done['changed'] as string[]).sort(), done['needRestart']], [['cpuMax', 'imagePath', 'logLevel', 'memTotal'], ['subnet']])
    assert.equal((await server.tt('env', 'add', 'large', '-s', 'micro', '-C', '6')).code, 0, 'the limit of admission holds at once')
    await eventually('the image', async () => ((await server.tt('image', 'list')).stdout.includes('fake:more') ? true : undefined))
    await eventually('the new total', async () => (((await server.json('status', '--server')) as { hosts: { total: { memMb: number } }[] }).hosts[0]?.total.memMb === 8192 ? true : undefined))
    assert.ok(await eventually('a line of debugging', () => lines(server).find(({ level }) => level === 'debug')))
    assert.deepEqual(await server.json('env', 'show', 'steady'), before)

    set({ memTotal: 8192, cpuMax: 7 })
    const said = await server.tt('reload', '--json')
    assert.equal(said.code, 0, said.stderr)
    assert.match(said.stdout, /"changed":\["imagePath","logLevel","cpuMax"\]/)
    set({ memTotal: 8192, cpuMax: 8, logLevel: 'debug' })
    process.kill(pidOf(server), 'SIGHUP')
    await eventually('one more reload', () => lines(server).filter(({ message }) => message === 'settings were read again')[2])

    for (const [wrong, why] of [['{"cpuMax": 0}', /cpuMax in .* is 0, allowed is/], ['{"cpuMaxx": 1}', /unknown key "cpuMaxx"; did you mean "cpuMax"/], ['{', /is not JSON/]] as const) {
      writeFileSync(config, wrong)
      process.kill(pidOf(server), 'SIGHUP')
      await eventually(wrong, () => lines(server).find(({ level, fault }) => level === 'error' && why.test(String(fault))))
    }
    assert.equal((await server.tt('env', 'add', 'after', '-s', 'micro', '-C', '6')).code, 0, 'what was wrong changed nothing')
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('SIGHUP opens the log anew for whoever moved it away', { timeout: 60_000 }, async () => {
  await using server = serverGround(roomy)
  await server.start()
  renameSync(join(server.dir, 'server.log'), join(server.dir, 'old.log'))
  process.kill(pidOf(server), 'SIGHUP')
  await eventually('a new log', () => (server.log().includes('settings were read again') ? true : undefined))
  assert.doesNotMatch(readFileSync(join(server.dir, 'old.log'), 'utf8'), /settings were read again/)
})

test('L07: SIGUSR1 writes down what the process is doing, and none of its secrets', { timeout: 60_000 }, async () => {
  await using server = serverGround(roomy)
  await server.start()
  assert.equal((await server.tt('env', 'add', 'one', '-s', 'micro')).code, 0)
  const dumped = async (times: number) => {
    process.kill(pidOf(server), 'SIGUSR1')
    return eventually('the dump', () => lines(server).filter(({ message }) => message === 'the state is written')[times - 1])
  }
  const { file } = await dumped(1)
  assert.equal(file, join(server.dir, 'data/dump.json'))
  assert.equal(statSync(String(file)).mode & 0o777, 0o600)
  const text = readFileSync(String(file), 'utf8')
  assert.ok(!text.includes(tokenOf(server)))
  const dump = JSON.parse(text) as { settings: Record<string, { value: string; origin: string }>; state: Record<string, { name: string; [field: string]: unknown }[]>; handles: Record<string, number>; memory: { rss: number }; stack: { stack: string[] }; openHandles: unknown[]; threads: unknown[] }
  assert.deepEqual(dump.settings['memTotal'], { value: '100000', origin: '--mem-total' })
  const names = (kind: string) => dump.state[kind]?.map(({ name }) => name) ?? []
  for (const name of ['vms', 'claims', 'images', 'phases', 'expiry']) assert.ok(names('loop').includes(name), `${name} among ${names('loop').join(', ')}`)
  const images = dump.state['loop']?.find(({ name }) => name === 'images')
  assert.partialDeepStrictEqual(images?.['keys'], [{ key: 'images', tries: 0 }])
  assert.ok(names('gate').length > 0)
  assert.equal(dump.state['view']?.find(({ name }) => name === 'desired/env/')?.['size'], 1)
  assert.ok((dump.handles['TCPServerWrap'] ?? 0) >= 1, JSON.stringify(dump.handles))
  assert.ok(dump.memory.rss > 1e7)
  assert.ok(dump.stack.stack.some((line) => line.includes('dump')), dump.stack.stack.join('\n'))
  assert.ok(dump.openHandles.length > 0)
  assert.equal(dump.threads.length, 1, 'that of the store')
  await dumped(2)
  assert.ok(existsSync(`${String(file)}.1`))
  assert.equal((await server.tt('doctor', '--leaks')).code, 0, 'its files belong to it')
})
