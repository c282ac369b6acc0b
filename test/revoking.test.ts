import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { httpCloud } from '../src/api/client.ts'
import { nodeTransport } from '../src/api/node-transport.ts'
import { apiServer } from '../src/api/server.ts'
import { jsonLog } from '../src/base/log.ts'
import { realWorld } from '../src/base/world.ts'
import { audit, type AuditTrail } from '../src/cloud/audit.ts'
import { guard } from '../src/cloud/guard.ts'
import type { Cloud } from '../src/model/cloud.ts'
import { seen } from '../src/model/cloud-under-test.ts'
import type { TtError } from '../src/model/errors.ts'
import type { AuditEntry, Session } from '../src/model/session.ts'
import type { TokenSpec } from '../src/model/user.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const secret = 'a-secret-of-ann'

async function ground() {
  await using building = new AsyncDisposableStack()
  const { dir } = building.use(temporaryDir('revoking'))
  const { cloud, access } = building.use(await fakeCloud({ dir }))
  const entries: AuditEntry[] = []
  const trail: AuditTrail = { write: (entry) => void entries.push(entry), tail: async () => ({ entries: [], stop: () => undefined }) }
  const log: string[] = []
  const server = building.use(
    apiServer({ cloudFor: (user, origin) => audit(guard(cloud, user), { trail, user, origin, world: realWorld }), authenticate: access.authenticate, world: realWorld, log: jsonLog((line) => log.push(line), Date.now, 'debug'), drainMs: 200 }),
  )
  await server.listen('127.0.0.1', 0)
  const url = `http://127.0.0.1:${server.address?.port}`
  const transport = building.use(nodeTransport())
  await cloud.collection('user').put('ann', { spec: {} })
  const give = (spec: Partial<TokenSpec> = {}) => cloud.collection('token').put('ann/one', { spec: { sha256: sha256(secret), ...spec } })
  await give()
  const ann = httpCloud(url, { token: secret, world: realWorld, ...transport })
  await ann.collection('env').put('demo', { spec: { groups: [{ image: 'fake:micro', cpu: 1, memMb: 100, diskMb: 100 }] } })
  await seen(ann, 'env', (change) => (change.type === 'is' && change.resource.status?.phase === 'ready') || undefined)
  const stack = building.move()
  return { cloud, url, ann, give, entries, log, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}
type Ground = Awaited<ReturnType<typeof ground>>

/** Everything that may be under way for a caller, begun; each resolves with how it ended. */
async function begun({ ann, url }: Ground): Promise<Record<string, Promise<string>>> {
  const vms = { envs: ['demo'] }
  const opened = Promise.withResolvers<void>()
  const watch = async () => {
    for await (const change of ann.collection('vm').watch()) if (change.type === 'synced') opened.resolve()
  }
  const read = async (session: Session) => {
    for await (const _ of session.output);
  }
  const lines = await ann.open({ type: 'exec', vms, command: { shell: 'sleep 1000' } })
  const socket = await ann.open({ type: 'exec', vms, command: { shell: 'sleep 1000' }, stdin: true })
  const console = await ann.open({ type: 'console', vms })
  const raw = await fetch(`${url}/v1/env/demo/vm/0/logs?follow=1`, { headers: { authorization: `Bearer ${secret}` } })
  const works = { watch: watch(), lines: read(lines), socket: read(socket), console: read(console), bytes: raw.text().then(() => undefined) }
  await opened.promise
  return Object.fromEntries(Object.entries(works).map(([name, work]) => [name, work.then(() => 'ended well', (thrown: TtError) => thrown.code ?? String(thrown))]))
}

const endings = async (works: Record<string, Promise<string>>) => Object.fromEntries(await Promise.all(Object.entries(works).map(async ([name, work]) => [name, await Promise.race([work, new Promise<string>((resolve) => setTimeout(() => resolve('goes on'), 5000).unref())])] as const)))

/** Each was told why; bytes have no words, so their connection is cut, that nobody takes a part for the whole. */
function checkEnded({ bytes, ...said }: Record<string, string>): void {
  assert.deepEqual(said, { watch: 'unauthenticated', lines: 'unauthenticated', socket: 'unauthenticated', console: 'unauthenticated' })
  assert.match(bytes ?? '', /terminated|UND_ERR/)
}

const whole = (cloud: Cloud) => cloud.collection('env').list()

describe('J02: a secret that is taken away', { timeout: 60_000 }, () => {
  it('ends at once what runs by it: watches, commands, consoles', async () => {
    await using at = await ground()
    const works = await begun(at)
    await at.cloud.collection('token').remove('ann/one')
    await assert.rejects(whole(at.ann), { code: 'unauthenticated', message: 'the token is not valid' })
    checkEnded(await endings(works))
  })

  it('ends them on the second it expires', async () => {
    await using at = await ground()
    const end = Date.now() + 1500
    await at.give({ expires: new Date(end).toISOString() })
    const works = await begun(at)
    await whole(at.ann)
    checkEnded(await endings(works))
    assert.ok(Date.now() - end < 1000, `${Date.now() - end} ms late`)
    await assert.rejects(whole(at.ann), { code: 'unauthenticated', message: /^the token expired on / })
  })

  it('ends them when its user is deleted, or may do something else', async () => {
    await using at = await ground()
    const works = await begun(at)
    await at.cloud.collection('user').put('ann', { spec: { role: 'viewer' } })
    checkEnded(await endings(works))
    await assert.rejects(at.ann.collection('env').put('more', { spec: { groups: [{ image: 'fake:micro' }] } }), { code: 'denied' }, 'the same secret comes in again, with what holds now')
    await at.cloud.collection('env').remove('demo')
    await seen(at.cloud, 'env', (change) => change.type === 'synced' || undefined)
    const watching = at.ann.collection('env').watch()[Symbol.asyncIterator]()
    await watching.next()
    while ((await at.cloud.collection('env').list()).items.length > 0) await realWorld.sleep(20)
    await at.cloud.collection('user').remove('ann')
    await assert.rejects(whole(at.ann), { code: 'unauthenticated' })
    await assert.rejects(
      (async () => {
        for (let step = await watching.next(); !step.done; step = await watching.next());
      })(),
      { code: 'unauthenticated' },
    )
  })
})

describe('J04: who did what', () => {
  it('is written down with the token and the id that log and answer name', async () => {
    await using at = await ground()
    const headers = { authorization: `Bearer ${secret}`, 'x-request-id': 'mine-7' }
    const { status, headers: answered } = await fetch(`${at.url}/v1/env/nothing`, { method: 'DELETE', headers })
    assert.deepEqual([status, answered.get('x-request-id')], [404, 'mine-7'])
    const { time, ...entry } = at.entries.at(-1) ?? assert.fail('nothing was written down')
    assert.deepEqual(entry, { user: 'ann', token: 'ann/one', request: 'mine-7', action: 'remove env', subject: 'env/nothing', result: 'not_found' })
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 10_000)
    await realWorld.sleep(50)
    assert.ok(at.log.some((line) => line.includes('"request":"mine-7"') && line.includes('"token":"ann/one"')))
    assert.ok(![...at.log, JSON.stringify(at.entries)].join('').includes(secret))
    await using session = await at.ann.open({ type: 'exec', vms: { envs: ['demo'] }, command: { argv: ['cat'] }, stdin: true })
    assert.ok(session)
    const opened = at.entries.at(-1)
    assert.deepEqual([opened?.action, opened?.subject, opened?.result], ['open exec', 'env/demo', 'ok'])
    assert.match(opened?.request ?? '', /^[\w.-]+$/)
  })
})
