import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { type ServerGround, serverGround } from './e2e/ground.ts'

const roomy = ['--engine', 'fake', '--cpu-total', '1000', '--mem-total', '100000', '--disk-total', '1000000']

function spoil(server: ServerGround, statement: string): void {
  using db = new DatabaseSync(join(server.dir, 'data/store/store.sqlite'))
  assert.notEqual(db.prepare(statement).run().changes, 0, statement)
}

const envs = async (server: ServerGround) => {
  const said = await server.tt('env', 'list', '--json')
  const { envs: items, missing } = JSON.parse(said.stdout) as { envs: { name: string; phase: string; ready: number }[]; missing: { subject: string; message: string }[] }
  return { names: items.map(({ name, phase, ready }) => `${name} ${phase} ${ready}`), missing }
}

/** Guests there are, from the file of the fake engine alone: a line for each change, without a value once it is gone. */
function guests(server: ServerGround): number {
  const file = join(server.dir, 'data/engine/fake/guests')
  const alive = new Set<string>()
  for (const line of existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []) {
    const [id, guest] = JSON.parse(line) as [string, object?]
    if (guest) alive.add(id)
    else alive.delete(id)
  }
  return alive.size
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 50))) assert.ok(Date.now() < end, `${what} did not come`)
}

describe('fault 29: a server with a record nobody can read', { timeout: 240_000 }, () => {
  const damages = [
    ['no JSON', `UPDATE entries SET value = substr(value, 1, 40) WHERE key = 'desired/env/bad'`, /it is not JSON/],
    ['another shape', `UPDATE entries SET value = '[]' WHERE key = 'desired/env/bad'`, /name is missing/],
    ['a field of another kind', `UPDATE entries SET value = json_set(value, '$.spec.lifetimeSeconds', 'long') WHERE key = 'desired/env/bad'`, /lifetimeSeconds/],
  ] as const
  for (const [what, statement, why] of damages) {
    test(`fault 29: an ENV whose record is ${what} is named; list, show, del and add of others work, and its VMs live on until it is given up`, async () => {
      await using server = serverGround(roomy)
      await server.start()
      for (const name of ['good', 'bad', 'other']) assert.equal((await server.tt('env', 'add', name, '-s', 'micro', '-d', '1')).code, 0)
      await server.stop()
      spoil(server, statement)
      await server.start()

      assert.match(server.log(), /"level":"error","message":"a record cannot be read and is left out",.*"key":"desired\/env\/bad"/)
      const listed = await envs(server)
      assert.deepEqual(listed.names, ['good ready 2', 'other ready 2'])
      assert.deepEqual(listed.missing.map(({ subject }) => subject), ['env/bad'])
      assert.match(listed.missing[0]?.message ?? '', why)
      const doctor = await server.tt('doctor')
      assert.match(doctor.stdout, /desired\/env\/bad/)
      assert.equal((await server.tt('env', 'show', 'good')).code, 0)
      assert.equal((await server.tt('env', 'del', 'other')).code, 0)
      assert.equal((await server.tt('env', 'add', 'new', '-s', 'micro')).code, 0)
      const again = await server.tt('env', 'add', 'bad', '-s', 'micro')
      assert.equal(again.code, 12)
      assert.match(again.stderr, /the record of ENV bad is damaged.*\n.*tt env del bad/)
      assert.equal(guests(server), 5, 'the VMs of the damaged ENV are left as they are')

      assert.equal((await server.tt('env', 'del', 'bad')).code, 0)
      await eventually('the end of its VMs', () => guests(server) === 3)
      assert.equal((await server.tt('env', 'add', 'bad', '-s', 'micro')).code, 0, 'the name is free')
      await eventually('no leaks', async () => (await server.tt('doctor', '--leaks')).code === 0)
    })
  }

  test('fault 29: other records are written anew by who owns them, and no VM is lost by it', async () => {
    await using server = serverGround(roomy)
    await server.start()
    assert.equal((await server.tt('env', 'add', 'demo', '-s', 'micro', '-d', '2')).code, 0)
    const before = await server.json('env', 'show', 'demo')
    for (const key of ['desired/phase/demo', 'desired/ledger', 'claim/vm/%.1', 'actual/host/%', 'desired/task/%']) {
      await server.stop()
      spoil(server, `UPDATE entries SET value = '{"' WHERE key LIKE '${key}'`)
      await server.start()
      await eventually(`demo after ${key}`, async () => (await envs(server)).names[0] === 'demo ready 3')
    }
    const macs = (shown: unknown) => (shown as { envs: { vms: { name: string; mac: string; ip: string }[] }[] }).envs[0]?.vms.map(({ name, mac, ip }) => [name, mac, ip])
    assert.deepEqual(macs(await server.json('env', 'show', 'demo')), macs(before))
    assert.equal(guests(server), 3)
    assert.equal((await server.tt('env', 'del', 'demo')).code, 0)
    assert.equal((await server.tt('doctor', '--leaks')).code, 0)
  })

  test('fault 29: a VM whose record cannot be read keeps its disk until it is kicked', async () => {
    await using server = serverGround(roomy)
    await server.start()
    assert.equal((await server.tt('env', 'add', 'demo', '-s', 'micro', '-d', '2')).code, 0)
    await server.stop()
    spoil(server, `UPDATE entries SET value = 'x' WHERE key LIKE 'actual/vm/%.1'`)
    await server.start()
    assert.equal((await server.tt('env', 'run', 'demo', '-m', '0,2', '--cmd', 'true')).code, 0)
    assert.equal(guests(server), 3)
    const kicked = await server.tt('env', 'update', 'demo', '--kick-vm', '1')
    assert.equal(kicked.code, 0, kicked.stderr)
    await eventually('its end', () => guests(server) === 2)
    await eventually('the ENV', async () => (await envs(server)).names[0] === 'demo ready 2')
    assert.equal((await server.tt('env', 'del', 'demo')).code, 0)
  })
})
