import assert from 'node:assert/strict'
import { closeSync, createReadStream, ftruncateSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { hasher } from '../src/base/sha256.ts'
import { patternOf } from '../src/model/transfer.ts'
import { serverGround } from './e2e/ground.ts'

const soak = process.env['TT_SOAK'] === '1'
const megabytes = soak ? 5120 : 300
/** By so much may a server grow, however large the file. */
const mostGrowthMb = 50

/** A file in which no megabyte is like another; but for their first bytes they are holes, which take no room on the disk. */
async function makeFile(path: string): Promise<string> {
  const fd = openSync(path, 'w')
  for (let count = 0; count < megabytes; count++) writeSync(fd, patternOf(4096, count + 1), 0, 4096, count * 2 ** 20)
  ftruncateSync(fd, megabytes * 2 ** 20)
  closeSync(fd)
  return digestOf(path)
}

async function digestOf(path: string): Promise<string> {
  const hash = hasher()
  for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array)
  return hash.hex()
}

const statusMb = (pid: number, field: 'VmRSS' | 'VmHWM') => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? assert.fail(field)) / 1024

test(`[F13] ${megabytes} MB pushed to two VMs and fetched from them, by tt and by curl's way, and the server grows by no more than ${mostGrowthMb} MB`, { timeout: soak ? 3_600_000 : 300_000 }, async (t) => {
  await using server = serverGround(['--engine', 'fake'])
  await server.start()
  const ok = async (...args: string[]) => {
    const said = await server.tt(...args)
    assert.equal(said.code, 0, said.stderr)
    return said.stdout
  }
  const small = join(server.dir, 'small')
  writeFileSync(small, patternOf(4 << 20))
  await ok('env', 'add', 'demo', '-s', 'micro', '-d', '1')
  // What is loaded and compiled at the first time counts for every file, small ones too.
  await ok('env', 'push', 'demo', '-f', small)
  await ok('env', 'get', 'demo', '-f', '/tmp/small', '--to', join(server.dir, 'warm'))
  const file = join(server.dir, 'big')
  const sha256 = await makeFile(file)
  const pid = server.pid()
  const beforeMb = statusMb(pid, 'VmRSS')
  writeFileSync(`/proc/${pid}/clear_refs`, '5') // The high-water mark begins anew: proc(5).
  const growth: Record<string, number> = {}
  const measured = async (what: string, work: () => Promise<unknown>) => {
    const began = performance.now()
    await work()
    growth[what] = Math.round(statusMb(pid, 'VmHWM') - beforeMb)
    t.diagnostic(`${what}: ${megabytes} MB in ${((performance.now() - began) / 1000).toFixed(1)} s, grown by ${growth[what]} MB at most`)
  }
  await measured('push', () => ok('env', 'push', 'demo', '-f', file))
  await measured('get', () => ok('env', 'get', 'demo', '-m', '0', '-f', '/tmp/big', '--to', join(server.dir, 'back')))
  assert.equal(await digestOf(join(server.dir, 'back')), sha256)
  const token = readFileSync(join(server.dir, 'data', 'token'), 'utf8').trim()
  const url = (query: Record<string, string>) => `http://127.0.0.1:${server.port}/v1/env/demo/vm/1/file?${new URLSearchParams(query).toString()}`
  const headers = { authorization: `Bearer ${token}`, 'content-length': String(statSync(file).size) }
  await measured('PUT', async () => {
    const answer = await fetch(url({ path: '/tmp/put', sha256 }), { method: 'PUT', headers, body: createReadStream(file) as never, duplex: 'half' } as RequestInit)
    assert.equal(answer.status, 200, await answer.text())
  })
  await measured('GET', async () => {
    const hash = hasher()
    const answer = await fetch(url({ path: '/tmp/put' }), { headers: { authorization: `Bearer ${token}` } })
    for await (const piece of answer.body ?? []) hash.update(piece)
    assert.equal(hash.hex(), sha256)
  })
  for (const [what, mb] of Object.entries(growth)) assert.ok(mb <= mostGrowthMb, `${what}: grown by ${mb} MB`)
})
