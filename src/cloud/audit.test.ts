import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { lineFiles } from '../base/line-files.ts'
import { realWorld } from '../base/world.ts'
import type { Cloud, Collection } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import type { AuditEntry, Session } from '../model/session.ts'
import type { User } from '../model/user.ts'
import { audit, type AuditTrail } from './audit.ts'
import { auditTrail, lostEntries } from './audit-trail.ts'

const ann: User = { name: 'ann', role: 'user' }
const boss: User = { name: 'boss', role: 'admin' }

/** A Cloud that does what it is asked, but for names that begin with `no`. */
function obliging(): Cloud {
  const resource = (kind: Kind, name: string) => ({ kind, name, uid: 'u', revision: '1', owner: 'ann', created: '', spec: {} }) as unknown as Resource<Kind>
  const act = async (kind: Kind, name: string) => (name.startsWith('no') ? fail('not_found', 'there is none', { subject: `${kind}/${name}` }) : resource(kind, name))
  return {
    about: async () => ({ cloud: 'obliging', version: '0', user: 'ann', role: 'user' }),
    collection: <K extends Kind>(kind: K) =>
      ({
        get: (name: string) => act(kind, name),
        list: async () => ({ items: [], missing: [] }),
        put: (name: string) => act(kind, name),
        remove: async (name: string) => void (await act(kind, name)),
        watch: async function* () {},
      }) as unknown as Collection<K>,
    open: async (request) => {
      if ('vms' in request) await act('env', request.vms.envs[0] ?? '')
      return { output: ReadableStream.from([]), input: new WritableStream(), [Symbol.asyncDispose]: async () => undefined }
    },
  }
}

function ground() {
  const dir = mkdtempSync(join(tmpdir(), 'tt-audit-'))
  const path = join(dir, 'audit.ndjson')
  const faults: unknown[] = []
  const files = lineFiles({ path, world: realWorld, limitBytes: 1 << 20, keep: 2, onFault: (fault) => faults.push(fault), lostLine: (count) => lostEntries(count, 0) })
  const trail = auditTrail(files)
  const as = (user: User, more: Partial<{ request: string; token: string; trail: AuditTrail }> = {}) => audit(obliging(), { trail, world: realWorld, user, origin: { request: 'r-1', ...more }, ...(more.trail ? { trail: more.trail } : {}) })
  return {
    path,
    faults,
    trail,
    as,
    async [Symbol.asyncDispose]() {
      await files[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const framesOf = async ({ output }: Session, most = Infinity) => {
  const entries: AuditEntry[] = []
  for await (const frame of output) {
    if (frame.type === 'audit') entries.push(frame.entry)
    if (entries.length >= most) break
  }
  return entries
}
const brief = ({ user, token, request, action, subject, result }: AuditEntry) => [user, token, request, action, subject, result].join(' ')

describe('audit', () => {
  it('J04: writes down every change and every session with who, what and how it ended, and no reads', async () => {
    await using at = ground()
    const cloud = at.as(ann, { token: 'ann/laptop', request: 'r-7' })
    await cloud.collection('env').put('demo', { spec: { groups: [] } })
    await cloud.collection('env').remove('demo')
    await assert.rejects(cloud.collection('env').remove('nothing'), { code: 'not_found' })
    await cloud.collection('token').put('ann/x', { spec: { sha256: 'a'.repeat(64) } })
    await cloud.open({ type: 'exec', vms: { envs: ['demo', 'two'] }, command: { argv: ['cat', 'a secret'] } })
    await cloud.open({ type: 'logs', vms: { envs: ['demo'], indices: [0, 3] } })
    await assert.rejects(cloud.open({ type: 'console', vms: { envs: ['no'] } }), { code: 'not_found' })
    await cloud.open({ type: 'reload' })
    await cloud.about()
    await cloud.collection('env').get('demo')
    await cloud.collection('env').list()
    for await (const _ of cloud.collection('env').watch());
    const { entries } = await at.trail.tail(100)
    assert.deepEqual(entries.map(brief), [
      'ann ann/laptop r-7 put env env/demo ok',
      'ann ann/laptop r-7 remove env env/demo ok',
      'ann ann/laptop r-7 remove env env/nothing not_found',
      'ann ann/laptop r-7 put token token/ann/x ok',
      'ann ann/laptop r-7 open exec env/demo env/two ok',
      'ann ann/laptop r-7 open logs vm/demo.0,3 ok',
      'ann ann/laptop r-7 open console env/no not_found',
      'ann ann/laptop r-7 open reload reload ok',
    ])
    assert.ok(entries.every(({ time }) => Math.abs(Date.parse(time) - Date.now()) < 60_000))
    await at.trail.tail(0)
    const text = readFileSync(at.path, 'utf8')
    assert.ok(!text.includes('a secret') && !text.includes('aaaa'), 'neither commands nor hashes are written down')
    assert.equal(statSync(at.path).mode & 0o777, 0o600)
  })

  it('keeps one line for each whatever is in a name, and no more of it than is read', async () => {
    await using at = ground()
    const cloud = at.as(ann)
    await cloud.collection('env').put('a\n{"user":"boss"}', { spec: { groups: [] } })
    await cloud.collection('env').put('x'.repeat(10_000), { spec: { groups: [] } })
    await cloud.open({ type: 'exec', vms: { envs: Array.from({ length: 1000 }, (_, n) => `env${n}`) }, command: { argv: ['x'] } })
    const { entries } = await at.trail.tail(10)
    assert.deepEqual(entries.map(({ user, subject }) => [user, subject.slice(0, 30), subject.length <= 300]), [['ann', 'env/a\n{"user":"boss"}', true], ['ann', `env/${'x'.repeat(26)}`, true], ['ann', 'env/env0 env/env1 env/env2 env', true]])
  })

  it('is read by admins alone, the last so many, and then as it comes', async () => {
    await using at = ground()
    for (let n = 0; n < 5; n++) await at.as(ann).collection('env').put(`e${n}`, { spec: { groups: [] } })
    await assert.rejects(at.as(ann).open({ type: 'audit' }), { code: 'denied', message: 'only an admin may ask for audit' })
    await assert.rejects(at.as({ name: 'vera', role: 'viewer' }).open({ type: 'audit', follow: true }), { code: 'denied' })
    await using session = await at.as(boss).open({ type: 'audit', last: 3, follow: true })
    await at.as(ann).collection('env').remove('e0')
    // That the session was opened is itself written down, once it is open.
    assert.deepEqual((await framesOf(session, 5)).map(brief), ['ann  r-1 put env env/e4 ok', 'ann  r-1 open audit audit denied', 'vera  r-1 open audit audit denied', 'boss  r-1 open audit audit ok', 'ann  r-1 remove env env/e0 ok'])
    await using whole = await at.as(boss).open({ type: 'audit' })
    assert.equal((await framesOf(whole)).length, 9)
    await using none = await at.as(boss).open({ type: 'audit', last: 0 })
    assert.deepEqual(await framesOf(none), [])
  })

  it('ends with its call and by being disposed', async () => {
    await using at = ground()
    const stop = new AbortController()
    const session = await at.as(boss).open({ type: 'audit', follow: true }, { signal: stop.signal })
    const all = framesOf(session)
    stop.abort()
    await all
    const other = await at.as(boss).open({ type: 'audit', follow: true })
    const rest = framesOf(other)
    await other[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
    await rest
    await assert.rejects(at.as(boss).open({ type: 'audit' }, { signal: AbortSignal.abort() }))
  })

  it('leaves behind a reader that does not keep up', async () => {
    await using at = ground()
    const session = await at.as(boss).open({ type: 'audit', last: 0, follow: true })
    for (let n = 0; n < 20_000; n++) at.trail.write({ time: '', user: 'ann', action: 'put env', subject: `env/${n}`, result: 'ok' })
    const frames: string[] = []
    for await (const frame of session.output) frames.push(frame.type)
    assert.ok(frames.length < 15_000, String(frames.length))
    assert.equal(frames.at(-1), 'problem')
  })

  it('passes over lines that are no entries', async () => {
    await using at = ground()
    const lines = ['', 'x', '{', 'null', '[]', '{"time":1}', JSON.stringify({ time: 't', user: 'u', action: 'a', subject: 's', result: 'ok' })]
    const trail = auditTrail({ write: () => undefined, tail: async () => ({ lines, stop: () => undefined }), [Symbol.asyncDispose]: async () => undefined })
    assert.deepEqual((await trail.tail(9)).entries, [{ time: 't', user: 'u', action: 'a', subject: 's', result: 'ok' }])
    assert.deepEqual(JSON.parse(lostEntries(7, 0)), { time: '1970-01-01T00:00:00.000Z', user: 'ttserver', action: 'lose entries', subject: 'audit/7', result: 'exhausted' })
    assert.deepEqual(at.faults, [])
  })

  it('breaks no call when nothing can be written', async () => {
    await using at = ground()
    writeFileSync(at.path, 'a file where a directory should be')
    const files = lineFiles({ path: join(at.path, 'none', 'audit.ndjson'), world: realWorld, limitBytes: 1 << 20, keep: 1, waitingBytes: 10_000, onFault: (fault) => at.faults.push(fault), lostLine: (count) => lostEntries(count, 0) })
    const cloud = at.as(ann, { trail: auditTrail(files) })
    for (let n = 0; n < 500; n++) await cloud.collection('env').put('demo', { spec: { groups: [] } })
    await files[Symbol.asyncDispose]()
    assert.equal(at.faults.length, 1, 'and is told once')
  })
})
