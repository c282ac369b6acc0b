import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { serverGround } from './e2e/ground.ts'

const ttserver = fileURLToPath(new URL('../ttserver', import.meta.url))
const flags = ['--engine', 'fake', '--cpu-total', '1000', '--mem-total', '100000', '--disk-total', '1000000']

interface Said {
  status: number | null
  findings: { host: string; check: string; state: string; message: string; remedy?: string; fixed?: boolean }[]
  leaks: { subject: string; fixed?: boolean }[]
  stderr: string
}

/** `ttserver doctor` of a server that is stopped. */
function asked({ dir, port }: { dir: string; port: number }, ...more: string[]): Said {
  const env = { ...process.env, TT_DATA_DIR: join(dir, 'data'), TT_CONFIG: join(dir, 'config.json') }
  const { status, stdout, stderr } = spawnSync(ttserver, ['doctor', '--json', '--serv-port', String(port), ...flags, ...more], { env, encoding: 'utf8', timeout: 60_000 })
  return { status, stderr, ...(stdout === '' ? { findings: [], leaks: [] } : (JSON.parse(stdout) as Pick<Said, 'findings' | 'leaks'>)) }
}

const bad = ({ findings }: Said) => findings.filter(({ state }) => state === 'bad')

function spoil(dir: string, statement: string, ...values: string[]): void {
  using db = new DatabaseSync(join(dir, 'data', 'store', 'store.sqlite'))
  db.prepare(statement).run(...values)
}

test('fault 29: N07: a record nobody can read is named, and put aside, by the doctor of a server that is stopped', { timeout: 120_000 }, async () => {
  await using server = serverGround(flags)
  await server.start()
  assert.equal((await server.tt('env', 'add', 'demo', '-s', 'micro', '-d', '2')).code, 0)
  assert.equal(asked(server).status, 8, 'a server that runs is asked by tt doctor')
  await server.stop()
  const healthy = asked(server)
  assert.equal(healthy.status, 0, healthy.stderr)
  assert.deepEqual(bad(healthy), [])
  assert.deepEqual(healthy.leaks, [])
  assert.deepEqual([...new Set(healthy.findings.map(({ check }) => check))].sort(), ['clock', 'data', 'drivers', 'engine', 'images', 'ledger', 'network', 'ports', 'space'])

  spoil(server.dir, "UPDATE entries SET value = substr(value, 1, 20) WHERE key = 'desired/phase/demo'")
  const broken = asked(server)
  assert.equal(broken.status, 3)
  assert.deepEqual(bad(broken).map(({ message }) => message.split(' is damaged')[0]), ['the record desired/phase/demo'])
  assert.match(bad(broken)[0]?.remedy ?? '', /ttserver doctor --fix/)
  assert.ok(!existsSync(join(server.dir, 'data', 'set-aside.ndjson')), 'a look changes nothing')

  const mended = asked(server, '--fix')
  assert.equal(mended.status, 0, mended.stderr)
  assert.deepEqual(bad(mended).map(({ fixed }) => fixed), [true])
  const [line = ''] = readFileSync(join(server.dir, 'data', 'set-aside.ndjson'), 'utf8').split('\n')
  const kept = JSON.parse(line) as { key: string; text: string }
  assert.deepEqual([kept.key, kept.text.length], ['desired/phase/demo', 20])
  await server.start()
  const { envs } = (await server.json('env', 'list')) as { envs: { name: string; phase: string; ready: number }[] }
  assert.deepEqual(envs.map(({ name, ready }) => [name, ready]), [['demo', 3]], 'the VMs are all there')
})

test('fault 29: a damaged record that VMs hang on is left where it is, and what can be done is said', { timeout: 120_000 }, async () => {
  await using server = serverGround(flags)
  await server.start()
  assert.equal((await server.tt('env', 'add', 'demo', '-s', 'micro')).code, 0)
  await server.stop()
  spoil(server.dir, "UPDATE entries SET value = '{' WHERE key = 'desired/env/demo'")
  const said = asked(server, '--fix')
  assert.equal(said.status, 3)
  assert.match(bad(said)[0]?.remedy ?? '', /VMs hang on it/)
  assert.ok(!existsSync(join(server.dir, 'data', 'set-aside.ndjson')))
})

test('N07: a wrong ledger and leaks are mended while the server is stopped', { timeout: 120_000 }, async () => {
  await using server = serverGround(flags)
  await server.start()
  assert.equal((await server.tt('env', 'add', 'demo', '-s', 'micro')).code, 0)
  await server.stop()
  spoil(server.dir, `UPDATE entries SET value = '{"cpu":9,"memMb":9,"diskMb":9,"vms":9}' WHERE key = 'desired/ledger'`)
  spoil(server.dir, "DELETE FROM entries WHERE key LIKE 'claim/vm/%' OR key LIKE 'actual/vm/%' OR key LIKE 'desired/env/%' OR key LIKE 'desired/phase/%'")
  const found = asked(server)
  assert.deepEqual([found.status, bad(found).map(({ check }) => check), found.leaks.length > 0], [3, ['ledger'], true])
  const mended = asked(server, '--fix')
  assert.equal(mended.status, 0, JSON.stringify(mended))
  assert.ok(mended.leaks.every(({ fixed }) => fixed))
  const again = asked(server)
  assert.deepEqual([again.status, bad(again), again.leaks], [0, [], []])
})
