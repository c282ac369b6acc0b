import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { serverGround } from './e2e/ground.ts'

const leash = join(import.meta.dirname, '../build/native/leash')
const tried = spawnSync(leash, ['--', 'true'], { encoding: 'utf8' })
const skip = tried.status === 0 ? false : `no leash can be made here: ${tried.error?.message ?? tried.stderr.trim()}`
const fake = ['--engine', 'fake']
const destroying = [...fake, '--on-exit', 'destroy']

/** Living processes that were started with this text in their arguments, the caller's aside. */
function processesWith(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text) && !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    } catch {
      return false
    }
  })
}

async function allGone(text: string): Promise<void> {
  for (let tries = 0; processesWith(text).length > 0; tries++) {
    assert.ok(tries < 100, `${processesWith(text).length} processes live on`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const names = async (server: { json(...args: string[]): Promise<unknown> }) => ((await server.json('env', 'list')) as { envs: { name: string }[] }).envs.map(({ name }) => name)

test('H12: with --on-exit destroy, kill -9 of the known process ends the inside, and the next start says what is gone', { skip, timeout: 60_000 }, async () => {
  await using server = serverGround(destroying)
  await server.start()
  const known = JSON.parse(readFileSync(join(server.dir, 'data/server.json'), 'utf8')) as { pid: number; onExit: string }
  assert.equal(known.onExit, 'destroy')
  assert.match(readFileSync(`/proc/${known.pid}/cmdline`, 'utf8'), /^[^\0]*leash\0--\0/)
  assert.equal(processesWith(server.dir).length, 3, 'the leash, its inside and the server')
  assert.equal((await server.tt('env', 'add', 'one', '-s', 'micro', '-d', '2')).code, 0)
  process.kill(known.pid, 'SIGKILL')
  await server.gone()
  await allGone(server.dir)

  await server.start()
  assert.deepEqual(await names(server), [])
  assert.match(server.log(), /these ENVs are gone".*"envs":\["one"\]/)
  assert.deepEqual(readdirSync(join(server.dir, 'data/volume/fake')), [])
  assert.equal((await server.tt('doctor', '--leaks')).code, 0)
  assert.equal((await server.tt('env', 'add', 'one', '-s', 'micro')).code, 0, 'its name, its room and its ports are free')
})

test('H12: with --on-exit destroy an orderly end leaves no VM, no record and no file of one', { skip, timeout: 60_000 }, async () => {
  await using server = serverGround(destroying)
  await server.start()
  assert.equal((await server.tt('env', 'add', 'one', '-s', 'micro', '-d', '2')).code, 0)
  await server.stop()
  assert.match(server.log(), /everything was destroyed.*"vms":3,"envs":\["one"\]/)
  for (const kind of ['engine', 'volume', 'network']) for (const driver of readdirSync(join(server.dir, 'data', kind))) assert.deepEqual(readdirSync(join(server.dir, 'data', kind, driver)), [], `${kind}/${driver}`)
  assert.equal(existsSync(join(server.dir, 'data/leash.json')), false)
  await server.start()
  assert.deepEqual(await names(server), [])
  assert.doesNotMatch(server.log(), /these ENVs are gone/)
})

test('the server killed inside of its leash ends the leash the same way', { skip, timeout: 60_000 }, async () => {
  await using server = serverGround(destroying)
  await server.start()
  const inside = processesWith(server.dir).find((pid) => /^[^\0]*node\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')))
  process.kill(Number(inside), 'SIGKILL')
  await server.gone()
  await allGone(server.dir)
})

test('ENVs of a life on a leash are gone in a life without one too; those of a life without one stay', { skip, timeout: 60_000 }, async () => {
  await using server = serverGround(fake)
  await server.start({ TT_ON_EXIT: 'destroy' })
  assert.equal((await server.tt('env', 'add', 'leashed', '-s', 'micro')).code, 0)
  await server.stop('SIGKILL')
  await server.start()
  assert.deepEqual(await names(server), [])
  assert.equal((await server.tt('env', 'add', 'kept', '-s', 'micro')).code, 0)
  await server.stop('SIGKILL')
  await server.start()
  assert.deepEqual(await names(server), ['kept'])
})

test('up and down know the leash as the server', { skip, timeout: 60_000 }, async () => {
  await using server = serverGround(destroying)
  const run = (...args: string[]) => spawnSync(join(import.meta.dirname, '../ttserver'), [...args, '--serv-port', String(server.port), '--data-dir', join(server.dir, 'data'), ...destroying], { encoding: 'utf8' })
  const up = run('up')
  assert.equal(up.status, 0, up.stderr)
  assert.match(run('up').stdout, /answers at .* already/)
  const doctor = run('doctor')
  assert.match(doctor.stderr, /ttserver runs \(process \d+\)/)
  const second = spawnSync(join(import.meta.dirname, '../ttserver'), ['--serv-port', String(server.port), '--data-dir', join(server.dir, 'data'), ...destroying], { encoding: 'utf8', timeout: 20_000 })
  assert.equal(second.status, 8, second.stderr)
  const down = run('down')
  assert.match(down.stdout, /is stopped; its VMs are gone/)
  await allGone(server.dir)
})
