import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type EnvGround, envGround } from './env-ground.ts'

describe('ENVs from files, and as they change', () => {
  let ground: EnvGround
  before(async () => {
    ground = await envGround()
  })
  after(() => ground[Symbol.asyncDispose]())
  const file = (text: string) => {
    const path = join(ground.dir, 'envs.yaml')
    writeFileSync(path, text)
    return path
  }
  const apply = async (text: string, ...flags: string[]) => ground.tt('env', 'apply', '-f', file(text), ...flags)
  const imagesOf = async (name: string) => (await ground.env(name)).vms.map(({ image, state }) => `${image} ${state}`)

  const shop = (workers: number) => `
name: shop
lifetimeSeconds: 7200
groups:
  - name: front
    prefix: micro
    ports: [80]
  - name: workers
    prefix: micro
    count: ${workers}
    flavor: m1.micro
---
- name: store
  groups:
    - prefix: centos
  denyOutgoing: true
`

  it('N09: an application of several groups and ENVs is made from one file, and scaled up and down by it', async () => {
    const dry = await apply(shop(2), '--dry-run')
    assert.deepEqual([dry.code, dry.stdout.split('\n').filter((line) => /^\w/.test(line))], [3, ['shop is to be made', 'store is to be made']])
    assert.equal((await apply(shop(2))).code, 2, 'nobody is there to be asked')
    assert.deepEqual(((await ground.json('env', 'list')) as { envs: [] }).envs, [])

    assert.equal((await apply(shop(2), '--yes')).code, 0)
    assert.deepEqual(await imagesOf('shop'), Array(3).fill('fake:micro ready'))
    assert.deepEqual(await imagesOf('store'), ['centos-7.1 ready', 'centos-7.2 ready'])
    const again = await apply(shop(2), '--yes')
    assert.deepEqual([again.code, again.stdout], [0, 'shop is as described\nstore is as described\n'])

    const [front] = (await ground.env('shop')).vms
    for (const [workers, said] of [[5, '2 VMs -> 5 VMs'], [1, '5 VMs -> 1 VM']] as const) {
      const { stdout } = await ground.does('env', 'apply', '-f', file(shop(workers)), '--yes')
      assert.equal(stdout, `shop is to change\n  ~ workers ${said}\nstore is as described\nshop: changed\n`)
      assert.deepEqual(await imagesOf('shop'), Array(workers + 1).fill('fake:micro ready'))
    }
    assert.deepEqual((await ground.env('shop')).vms[0], front, 'whoever is not to change goes on')
  })

  it('a VM that was taken out is replaced by an apply, under another index', async () => {
    await ground.does('env', 'update', 'shop', '--kick-vm', '0')
    assert.match((await apply(shop(1), '--yes')).stdout, /~ front 0 VMs -> 1 VM\n/)
    const { vms } = await ground.env('shop')
    assert.deepEqual([vms.length, vms.some(({ index }) => index === 0)], [2, false])
  })

  it('what an export says, an apply finds as it is, and makes again once it is deleted', async () => {
    await ground.does('env', 'update', 'store', '-m', '1', '-y', '--deny', '192.0.2.0/24')
    const { stdout } = await ground.does('env', 'export', 'shop', 'store')
    const dry = await apply(stdout, '--dry-run')
    assert.deepEqual([dry.code, dry.stdout], [0, 'shop is as described\nstore is as described\n'], stdout)
    const kept = ({ vms }: Awaited<ReturnType<EnvGround['env']>>) => vms.map(({ name, image, cpu, memMb, diskMb, ports, denyOutgoing, deny, state }) => ({ name, image, cpu, memMb, diskMb, denyOutgoing, deny, state, ports: Object.keys(ports) }))
    const before = [kept(await ground.env('shop')), kept(await ground.env('store'))]
    await ground.does('env', 'del', 'shop', 'store')
    assert.equal((await apply(stdout, '--yes')).code, 0)
    assert.deepEqual([kept(await ground.env('shop')), kept(await ground.env('store'))], before)
  })

  it('a file that is wrong is named by file, line and field, and nothing is changed', async () => {
    const { code, stderr } = await apply('name: store\ndenyOutgoing: false\ngroups:\n  - prefix: micro\n    cpus: 2\n', '--yes')
    assert.deepEqual([code, stderr.split('\n')[0]], [2, `tt: ${join(ground.dir, 'envs.yaml')}:5: groups.0.cpus is none of its fields; did you mean cpu? (invalid)`])
    assert.equal((await ground.env('store')).vms.length, 2)
  })

  it('one that is refused does not keep the others, and the status says so', async () => {
    const { code, stdout, stderr } = await apply('name: huge\ngroups: [{ prefix: micro, memMb: 300000 }]\n---\nname: fine\ngroups: [{ prefix: micro }]\n', '--yes')
    assert.equal(code, 11, stderr)
    assert.match(stdout, /\nfine: made\n$/)
    await ground.does('env', 'del', 'fine')
  })

  it('--watch tells what changes, and Ctrl-C ends it with 130', async () => {
    const env = { ...process.env, TT_SERVER: `127.0.0.1:${ground.port}`, TT_DATA_DIR: join(ground.dir, 'data'), TT_CONFIG: join(ground.dir, 'config.json') }
    const child = spawn(join(import.meta.dirname, '../tt'), ['env', 'list', '--watch', '--json'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    const lines: { name?: string; phase?: string; gone?: string }[] = []
    const until = async (holds: () => boolean, what: string) => {
      for (const end = Date.now() + 20_000; !holds(); await new Promise((resolve) => setTimeout(resolve, 20))) assert.ok(Date.now() < end, `${what} did not come: ${JSON.stringify(lines)}`)
    }
    let text = ''
    child.stdout.on('data', (data) => {
      const parts = (text += data).split('\n')
      text = parts.pop() ?? ''
      lines.push(...parts.map((line) => JSON.parse(line) as (typeof lines)[number]))
    })
    await until(() => lines.length === 2, 'what there is')
    await ground.does('env', 'add', 'late', '-s', 'micro')
    await until(() => lines.some(({ name, phase }) => name === 'late' && phase === 'ready'), 'the new one')
    await ground.does('env', 'del', 'late')
    await until(() => lines.at(-1)?.gone === 'late', 'its end')
    child.kill('SIGINT')
    assert.equal(await ended, 130)
  })

  it('what docs/how-to/env-files.md tells to type works as it stands', async () => {
    await ground.does('env', 'del', 'shop', 'store')
    const [, script = ''] = /```sh\n([\s\S]*?)```/.exec(readFileSync(join(import.meta.dirname, '../docs/how-to/env-files.md'), 'utf8')) ?? []
    symlinkSync(join(import.meta.dirname, '../tt'), join(ground.dir, 'tt'))
    const env = { ...process.env, TT_SERVER: `127.0.0.1:${ground.port}`, TT_DATA_DIR: join(ground.dir, 'data'), TT_CONFIG: join(ground.dir, 'config.json') }
    const { status, stdout, stderr } = spawnSync('sh', ['-eu', '-c', script], { cwd: ground.dir, env, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    assert.match(stdout, /shop is to be made\n[^]*shop: made\nstore: made\nname: shop\n[^]*shop: deleted\nstore: deleted\n$/)
    await ground.does('env', 'add', 'shop', '-s', 'micro')
    await ground.does('env', 'add', 'store', '-s', 'centos')
  })

  it('completion knows the names of the moment', async () => {
    const ask = async (...words: string[]) => (await ground.does('__complete', 'fish', '--', ...words)).stdout.trim().split('\n')
    assert.deepEqual(await ask('env', 'show', 's'), ['shop', 'store'])
    assert.deepEqual(await ask('env', 'update', 'store', '--kick-vm', ''), ['0', '1'])
    assert.deepEqual(await ask('env', 'add', 'x', '-s', 'ubuntu2'), ['ubuntu2004'])
    const { tasks } = (await ground.json('task', 'list')) as { tasks: { id: string }[] }
    assert.deepEqual((await ask('task', 'show', '')).sort(), tasks.map(({ id }) => id).sort())
    const hosts = (await ground.json('status', '--server')) as { hosts: { name: string }[] }
    assert.deepEqual(await ask('env', 'add', 'x', '--host', ''), hosts.hosts.map(({ name }) => name))
  })

  it('settings tell where each value comes from, and nothing of a token', async () => {
    const { stdout } = await ground.does('settings')
    assert.match(stdout, new RegExp(`server +127\\.0\\.0\\.1:${ground.port} +TT_SERVER`))
    assert.match(stdout, /token +set +\S+\/token/)
    assert.ok(!stdout.includes(readFileSync(join(ground.dir, 'data', 'token'), 'utf8').trim()))
  })
})
