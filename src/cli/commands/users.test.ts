import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import type { Resource } from '../../model/kinds.ts'
import type { AuditEntry } from '../../model/session.ts'
import type { TokenSpec, UserSpec } from '../../model/user.ts'
import { rehearse, type Stage } from '../rehearsal.ts'

const created = '2025-12-31T23:30:00.000Z'
const userOf = (name: string, spec: Partial<UserSpec> = {}, used = { cpu: 0, memMb: 0, diskMb: 0, vms: 0 }): Resource<'user'> => ({ kind: 'user', name, uid: `u${name}`, revision: '3', owner: name, created, spec: { role: 'user', rights: [], quota: {}, ...spec }, status: { envs: used.vms > 0 ? 1 : 0, used } })
const tokenOf = (name: string, spec: Partial<TokenSpec> = {}, expired = false): Resource<'token'> => ({ kind: 'token', name, uid: `u${name}`, revision: '3', owner: name.split('/')[0] ?? '', created, spec: { sha256: 'a'.repeat(64), ...spec }, status: { expired } })

const stage: Stage = {
  user: [userOf('ann', { rights: ['longLife', 'listAll'], quota: { cpu: 8, memMb: 8192, vms: 4 }, memo: 'the \x1b[31mred one' }, { cpu: 2, memMb: 2048, diskMb: 1024, vms: 4 }), userOf('boss', { role: 'admin' }), userOf('vera', { role: 'viewer' })],
  token: [tokenOf('ann/laptop', { expires: '2026-01-02T00:00:00.000Z' }), tokenOf('ann/old', { role: 'viewer' }, true)],
}

describe('tt user', () => {
  it('lists who there is with what they use of what they may', async () => {
    const { out, status } = await rehearse('user list', stage)
    assert.equal(
      out,
      [
        'USER  ROLE    RIGHTS            ENVS  VMS  CPU     MEMORY  DISK  MEMO',
        'ann   user    longLife,listAll     1  4/4  2/8  2 GB/8 GB  1 GB  the \\x1b[31mred one',
        'boss  admin   -                    0    0    0       0 MB  0 MB  -',
        'vera  viewer  -                    0    0    0       0 MB  0 MB  -',
        '',
      ].join('\n'),
    )
    assert.equal(status, 0)
    const { out: json } = await rehearse('user list --json', stage)
    assert.deepEqual((JSON.parse(json) as { users: object[] }).users[0], { name: 'ann', role: 'user', rights: ['longLife', 'listAll'], quota: { cpu: 8, memMb: 8192, diskMb: null, vms: 4 }, used: { cpu: 2, memMb: 2048, diskMb: 1024, vms: 4 }, envs: 1, memo: 'the \u001b[31mred one', created })
    assert.equal((await rehearse('user list -q', stage)).out, 'ann\nboss\nvera\n')
  })

  it('shows an account in full, and goes on after one that is not there', async () => {
    const { out, err, status } = await rehearse('user show ann nobody', { ...stage, token: [] })
    assert.match(out, /^ann\n {2}role {5}user\n {2}rights {3}longLife, listAll\n/)
    assert.match(out, /\n {2}VMs {6}4 of 4\n {2}cpus {5}2 of 8\n {2}memory {3}2 GB of 8 GB\n {2}disk {5}1 GB of any number\n/)
    assert.match(err, /there is no user "nobody"/)
    assert.equal(status, 6)
  })

  it('adds with role, rights and quota, and only what is not there', async () => {
    const { cloud, out, status } = await rehearse('user add carl --role viewer --rights listAll -C 4 -M 1024 -D 2048 --vms 3 --memo guest')
    assert.deepEqual(cloud.puts, [{ name: 'carl', options: { spec: { role: 'viewer', rights: ['listAll'], quota: { cpu: 4, memMb: 1024, diskMb: 2048, vms: 3 }, memo: 'guest' }, expect: 'absent' } }])
    assert.equal(status, 0, out)
    for (const line of ['user add', 'user add a.b', 'user add carl --role king', 'user add carl --rights fly', 'user add carl -C many', 'user add carl -C -1', 'user add carl --vms 1.5']) {
      const wrong = await rehearse(line)
      assert.deepEqual([wrong.status, wrong.out, wrong.cloud.puts], [2, '', []], `${line}: ${wrong.err}`)
    }
    assert.match((await rehearse('user add carl --role king')).err, /--role is "king", allowed is admin, user or viewer/)
    assert.match((await rehearse('user add carl --vms 99999999999999999')).err, /--vms/)
  })

  it('changes what is named and leaves the rest', async () => {
    const { cloud, out } = await rehearse('user update ann vera --cpu-num none --vms 9', stage)
    assert.equal(out, 'ann: updated\nvera: updated\n')
    assert.deepEqual(cloud.puts[0], { name: 'ann', options: { spec: { role: 'user', rights: ['longLife', 'listAll'], quota: { memMb: 8192, vms: 9 }, memo: 'the \x1b[31mred one' }, expect: '3' } })
    assert.deepEqual(cloud.puts[1], { name: 'vera', options: { spec: { role: 'viewer', rights: [], quota: { vms: 9 } }, expect: '3' } })
    const none = await rehearse('user update ann --rights none --memo=', stage)
    assert.deepEqual(none.cloud.puts[0]?.options, { spec: { role: 'user', rights: [], quota: { cpu: 8, memMb: 8192, vms: 4 } }, expect: '3' })
    const again = await rehearse('user update ann --role admin', { ...stage, refusals: { 'user.put ann': [{ code: 'conflict', message: 'it was changed meanwhile' }] } })
    assert.deepEqual([again.status, again.cloud.puts.length], [0, 2])
    assert.equal((await rehearse('user update ann', stage)).status, 2)
    assert.equal((await rehearse('user update ann nobody --vms 1', stage)).status, 6)
  })

  it('deletes each, and says which it could not', async () => {
    const { cloud, out, err, status } = await rehearse('user del ann nobody', stage)
    assert.deepEqual([out, status, cloud.removals.map(({ name }) => name)], ['ann: deleted\n', 6, ['ann', 'nobody']])
    assert.match(err, /nobody/)
  })
})

describe('tt token', () => {
  it('J03: makes the secret here, prints it alone and sends its sha256 only', async () => {
    const { out, err, cloud } = await rehearse('token add laptop --expires 30d --role viewer')
    assert.match(out, /^[0-9a-f]{64}\n$/)
    assert.equal(err, 'tt: that is ann/laptop, shown this once; it ends in 30 d\n')
    const [put] = cloud.puts
    assert.deepEqual(put, { name: 'ann/laptop', options: { spec: { sha256: createHash('sha256').update(out.trim()).digest('hex'), role: 'viewer', expires: '2026-01-31T00:00:00.000Z' }, expect: 'absent' } })
    assert.ok(!JSON.stringify([cloud.puts, cloud.calls]).includes(out.trim()))
    const json = JSON.parse((await rehearse('token add bob/x --json')).out) as { tokens: { name: string; user: string }[]; secret: string }
    assert.deepEqual([json.tokens[0]?.name, json.secret.length], ['bob/x', 64])
    assert.equal((await rehearse('token add x -q')).err, '')
  })

  it('takes ends that come, and refuses others before anything is asked', async () => {
    const expiresOf = async (text: string) => ((await rehearse(['token', 'add', 'x', '--expires', text])).cloud.puts[0]?.options as { spec: TokenSpec } | undefined)?.spec.expires
    assert.equal(await expiresOf('90m'), '2026-01-01T01:30:00.000Z')
    assert.equal(await expiresOf('2030-01-31T12:00:00Z'), '2030-01-31T12:00:00.000Z')
    assert.equal(await expiresOf('2030-01-31'), '2030-01-31T00:00:00.000Z')
    assert.equal(await expiresOf('never'), undefined)
    for (const bad of ['0', '-1', 'soon', '2020-01-01T00:00:00Z', '', '99999999999d', '2030-13-01', '2030']) {
      const { status, cloud } = await rehearse(['token', 'add', 'x', `--expires=${bad}`])
      if (bad === '2030') assert.equal(status, 0, 'seconds')
      else assert.deepEqual([status, cloud.puts], [2, []], bad)
    }
    for (const line of ['token add', 'token add a/b/c', 'token add a.b', 'token add x --role king', 'token del a/']) assert.equal((await rehearse(line)).status, 2, line)
  })

  it('lists the own, those of a user, or all', async () => {
    const { out, cloud } = await rehearse('token list', stage)
    assert.equal(out, ['TOKEN       ROLE        CREATED     ENDS', "ann/laptop  the user's  30 min ago  in 1 d", 'ann/old     viewer      30 min ago  expired', ''].join('\n'))
    assert.deepEqual(cloud.calls, ['token.list'])
    assert.deepEqual((await rehearse('token list ann', { ...stage, token: [] })).cloud.calls, ['token.list ann'])
    assert.ok(!(await rehearse('token list --json', stage)).out.includes('aaaa'), 'not even the hash')
  })

  it('revokes by the short name too', async () => {
    const { cloud, out, status } = await rehearse('token del laptop ann/old', stage)
    assert.deepEqual([out, status, cloud.removals.map(({ name }) => name)], ['ann/laptop: revoked\nann/old: revoked\n', 0, ['ann/laptop', 'ann/old']])
  })
})

describe('tt audit', () => {
  const entry = (n: number, more: Partial<AuditEntry> = {}): AuditEntry => ({ time: `2026-01-01T00:00:0${n}.000Z`, user: 'ann', token: 'ann/laptop', request: 'r-1', action: 'put env', subject: 'env/demo', result: 'ok', ...more })
  const frames: Stage['frames'] = [{ type: 'audit', entry: entry(1) }, { type: 'audit', entry: entry(2, { user: 'boss', token: 'x', action: 'open exec', subject: 'env/\x1b[2J', result: 'denied' }) }]

  it('J04: tells who did what, a line each', async () => {
    const { out, cloud } = await rehearse('audit -n 20', { frames })
    assert.equal(out, ['2026-01-01T00:00:01.000Z  ann/laptop        put env         env/demo              ok', '2026-01-01T00:00:02.000Z  boss              open exec       env/\\x1b[2J           denied', ''].join('\n'))
    assert.deepEqual(cloud.opened, [{ type: 'audit', follow: false, last: 20 }])
    const json = JSON.parse((await rehearse('audit --json', { frames })).out) as { entries: AuditEntry[] }
    assert.deepEqual(json.entries[0], entry(1))
    const followed = await rehearse('audit -f --json', { frames })
    assert.deepEqual([followed.out.trim().split('\n').length, followed.cloud.opened[0]], [2, { type: 'audit', follow: true }])
  })

  it('ends with the status of what is wrong', async () => {
    assert.equal((await rehearse('audit', { opening: { code: 'denied', message: 'only an admin may ask for audit' } })).status, 5)
    assert.equal((await rehearse('audit', { frames: [{ type: 'problem', problem: { code: 'too_large', message: 'more was done than was read' } }] })).status, 9)
    assert.equal((await rehearse('audit -n 100001')).status, 2)
    assert.equal((await rehearse('audit -n x')).status, 2)
  })
})

it('names of users, tokens, roles and rights are completed', async () => {
  const complete = async (...words: string[]) => (await rehearse(['__complete', 'fish', '--', ...words], stage)).out.trim().split('\n')
  assert.deepEqual(await complete('user', 'del', ''), ['ann', 'boss', 'vera'])
  assert.deepEqual(await complete('token', 'del', 'ann/'), ['ann/laptop', 'ann/old'])
  assert.deepEqual(await complete('token', 'list', 'b'), ['boss'])
  assert.deepEqual(await complete('user', 'add', 'x', '--role', ''), ['admin', 'user', 'viewer'])
  assert.deepEqual(await complete('user', 'update', 'x', '--rights', 'longLife,l'), ['longLife,longLife', 'longLife,listAll'])
})
