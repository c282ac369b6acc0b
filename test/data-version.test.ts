import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../src/base/log.ts'
import { realWorld as world } from '../src/base/world.ts'
import { sqliteStore } from '../src/store/sqlite.ts'
import { type ServerGround, serverGround } from './e2e/ground.ts'

const root = join(import.meta.dirname, '..')

/** The data directory as a server of that version left it; its host has the name this one will have. */
async function left(server: ServerGround, records: object): Promise<void> {
  mkdirSync(join(server.dir, 'data/store'), { recursive: true })
  await using store = await sqliteStore({ dir: join(server.dir, 'data/store'), world, log: silentLog })
  await store.commit(Object.entries(records).map(([key, value]) => ({ key, value: value as unknown })))
}

async function recordsIn(server: ServerGround): Promise<Record<string, unknown>> {
  await using store = await sqliteStore({ dir: join(server.dir, 'data/store'), world, log: silentLog })
  return Object.fromEntries((await store.list('')).items.map(({ key, value }) => [key, value]))
}

test('L12: a server takes over the records of the first version, and its ENVs can be changed as new ones can', { timeout: 60_000 }, async () => {
  await using server = serverGround(['--engine', 'fake'])
  // As if it had been written a moment ago: the ENVs in it would be over otherwise.
  const text = readFileSync(join(root, 'src/store/golden/records-0.json'), 'utf8').replaceAll(/("created": ")[^"]+/g, `$1${new Date().toISOString()}`)
  await left(server, JSON.parse(text) as object)
  await server.start()
  assert.match(server.log(), /the records were brought to the version of this program".*"from":0,"to":\d+,"changed":5/)
  const { envs } = (await server.json('env', 'show', 'demo', 'halted')) as { envs: { name: string; vms: unknown[] }[] }
  assert.deepEqual(envs.map(({ name, vms }) => [name, vms.length]), [['demo', 2], ['halted', 1]])
  // The host that ran its VMs is no more, so nobody waits for them.
  for (const flags of [['--life-time', '7000'], ['--deny', '192.0.2.0/24']]) {
    const changed = await server.tt('env', 'update', 'demo', ...flags, '--no-wait')
    assert.equal(changed.code, 0, changed.stderr)
  }
  await server.stop()
  const { spec } = (await recordsIn(server))['desired/env/demo'] as { spec: object }
  assert.partialDeepStrictEqual(spec, { lifetimeSeconds: 7000, deny: ['192.0.2.0/24'], atEnd: 'delete', peers: [], denyOutgoing: true })
  await server.start()
  assert.equal(server.log().split('the records were brought to the version of this program').length, 2, 'once')
})

test('L12: a server refuses the records of a newer version, says which to start, and leaves them as they are', { timeout: 60_000 }, async () => {
  await using server = serverGround(['--engine', 'fake'])
  const records = { 'meta/version': { version: 99 }, 'desired/env/later': { what: 'nobody knows' } }
  await left(server, records)
  const said = spawnSync(join(root, 'ttserver'), ['--engine', 'fake', '--serv-port', String(server.port), '--data-dir', join(server.dir, 'data')], { encoding: 'utf8', timeout: 30_000 })
  assert.equal(said.status, 10, said.stderr)
  assert.match(said.stderr, /the records are of a newer tt: they have version 99, this one knows \d+ \(unsupported\)\n {2}start the version that wrote them, or a newer one\n/)
  assert.deepEqual(await recordsIn(server), records)
})
