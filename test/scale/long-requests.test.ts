import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Said, type ServerGround, serverGround } from '../e2e/ground.ts'
import { temporaryDir } from '../fake-cloud.ts'

/** So much the systems before us took in one request. */
const formerLimitBytes = 8192

const imageNames = Array.from({ length: 300 }, (_, at) => `an-image-whose-name-is-rather-long-${String(at).padStart(4, '0')}`)
const home = temporaryDir('long-requests')
let server: ServerGround

before(async () => {
  const old = new Date('2020-01-01')
  for (const name of imageNames) {
    const dir = join(home.dir, name)
    mkdirSync(dir)
    const kernel = { file: 'kernel', sha256: '0'.repeat(64) }
    writeFileSync(join(dir, 'kernel'), 'none')
    writeFileSync(join(dir, 'image.json'), JSON.stringify({ format: 1, name, engines: ['fake'], boot: 'kernel', kernel, defaults: { cpu: 1, memMb: 100, diskMb: 100, ports: [] } }))
    for (const file of ['kernel', 'image.json']) utimesSync(join(dir, file), old, old)
  }
  server = serverGround(['--engine', 'fake', '--image-path', home.dir, '--cpu-total', '30000', '--mem-total', '3000000', '--disk-total', '30000000', '--port-range', '30000-49999'])
  await server.start()
})
after(async () => {
  await server[Symbol.asyncDispose]()
  home[Symbol.dispose]()
})

const done = (said: Said) => assert.equal(said.code, 0, said.stderr.slice(0, 2000))
const long = (text: string) => {
  assert.ok(text.length > formerLimitBytes, `the request is only ${text.length} characters long`)
  return text
}
const shown = async (name: string) => ((await server.json('env', 'show', name)) as { envs: { vms: { ports: Record<string, number>; image: string }[] }[] }).envs[0]?.vms ?? []

test('H19: an ENV of 300 images, each named in full, is made from one request', async () => {
  done(await server.tt('env', 'add', 'many', '-s', long(imageNames.join(','))))
  assert.deepEqual((await shown('many')).map(({ image }) => image).sort(), imageNames)
  done(await server.tt('env', 'del', 'many'))
})

test('H19: a VM with 256 ports has all of them, and 10,000 ports in one request are all given', async () => {
  const ports = Array.from({ length: 256 }, (_, at) => 40_000 + at)
  done(await server.tt('env', 'add', 'ported', '-s', 'micro', '-d', '38', '-p', ports.join(',')))
  const vms = await shown('ported')
  assert.equal(vms.length, 39)
  assert.equal(new Set(vms.flatMap((vm) => Object.values(vm.ports))).size, 39 * 256)
  done(await server.tt('env', 'update', 'ported', '--no-vm-port'))
  assert.ok((await shown('ported')).every((vm) => Object.keys(vm.ports).length === 0))
  done(await server.tt('env', 'del', 'ported'))
})

test('H19: a list of 2,000 VMs to take out is taken whole', async () => {
  done(await server.tt('env', 'add', 'wide', '-s', 'micro', '-d', '2999', '-C', '1', '-M', '100', '-D', '100'))
  const out = Array.from({ length: 2000 }, (_, at) => at + 500)
  done(await server.tt('env', 'update', 'wide', '--kick-vm', long(out.join(','))))
  assert.equal((await shown('wide')).length, 1000)
  done(await server.tt('env', 'del', 'wide'))
})

test('H19: a command longer than 8 KB runs in 150 ENVs that are named in one request, which are deleted by one line', { timeout: 120_000 }, async () => {
  const names = Array.from({ length: 150 }, (_, at) => `an-env-with-a-name-that-is-nearly-as-long-as-a-name-may-be-${String(at).padStart(3, '0')}`)
  const headers = { authorization: `Bearer ${readFileSync(join(server.dir, 'data/token'), 'utf8').trim()}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ spec: { groups: [{ image: 'fake:micro', cpu: 1, memMb: 100, diskMb: 100 }] } })
  for (const name of names) assert.ok((await fetch(`http://127.0.0.1:${server.port}/v1/env/${name}`, { method: 'PUT', headers, body })).ok)
  long(names.join(' '))
  const text = long(`echo ${'x'.repeat(20_000)}`)
  let ran: Said
  const endMs = Date.now() + 30_000
  do ran = await server.tt('env', 'run', ...names, '--cmd', text, '--json')
  while (ran.code !== 0 && Date.now() < endMs)
  done(ran)
  const { results } = JSON.parse(ran.stdout) as { results: { stdout: string }[] }
  assert.equal(results.length, names.length)
  assert.ok(results.every(({ stdout }) => stdout.trim().length === 20_000))
  done(await server.tt('env', 'del', ...names))
  assert.deepEqual(((await server.json('env', 'list')) as { envs: unknown[] }).envs, [])
})
