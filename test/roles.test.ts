import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { httpCloud } from '../src/api/client.ts'
import { nodeTransport } from '../src/api/node-transport.ts'
import { pathOf, type RouteId, routes } from '../src/api/routes.ts'
import { apiServer } from '../src/api/server.ts'
import { needsInput } from '../src/api/sessions.ts'
import { silentLog } from '../src/base/log.ts'
import { realWorld, type World } from '../src/base/world.ts'
import { audit, type AuditTrail } from '../src/cloud/audit.ts'
import { guard } from '../src/cloud/guard.ts'
import { seen } from '../src/model/cloud-under-test.ts'
import type { EnvAsked } from '../src/model/env.ts'
import { asTtError, errorCodes, type ErrorCode } from '../src/model/errors.ts'
import type { Kind, Resource } from '../src/model/kinds.ts'
import type { SessionRequest } from '../src/model/session.ts'
import type { Caller } from '../src/model/user.ts'
import { fileOf, push } from '../src/model/transfer.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'
import { type CallerName, callers, type Row, rolesReference, rows, sessions } from './roles-table.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** A server with users, on the fakes: ann owns things, bob is the stranger, vera the viewer. */
async function ground() {
  await using building = new AsyncDisposableStack()
  let aheadMs = 0
  const world: World = { ...realWorld, now: () => realWorld.now() + aheadMs }
  const { dir } = building.use(temporaryDir('roles'))
  const { cloud, access } = building.use(await fakeCloud({ dir, world }))
  const boss: Caller = { user: { name: 'admin', role: 'admin' } }
  const trail: AuditTrail = { write: () => undefined, tail: async () => ({ entries: [], stop: () => undefined }) }
  const server = building.use(
    apiServer({
      cloudFor: (user, origin) => audit(guard(cloud, user), { trail, user, origin, world }),
      authenticate: (secret) => (secret === 'secret-of-admin' ? boss : access.authenticate(secret)),
      world,
      log: silentLog,
      drainMs: 200,
    }),
  )
  await server.listen('127.0.0.1', 0)
  const port = server.address?.port ?? 0
  const secrets: Record<CallerName, string | undefined> = { nobody: undefined, forged: 'secret-of-nobody', expired: 'old-secret-of-ann', viewer: 'secret-of-vera', owner: 'secret-of-ann', stranger: 'secret-of-bob', admin: 'secret-of-admin' }
  const admin = guard(cloud, boss.user)
  for (const [name, role] of [['ann', 'user'], ['bob', 'user'], ['vera', 'viewer']] as const) {
    await admin.collection('user').put(name, { spec: { role } })
    await admin.collection('token').put(`${name}/token`, { spec: { sha256: sha256(`secret-of-${name}`) } })
  }
  await admin.collection('token').put('ann/old', { spec: { sha256: sha256('old-secret-of-ann'), expires: new Date(world.now() + 1000).toISOString() } })
  aheadMs = 2000
  const stack = building.move()
  return { cloud, admin, ann: guard(cloud, { name: 'ann', role: 'user' }), port, secrets, world, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}
type Ground = Awaited<ReturnType<typeof ground>>

const spec = (more: Partial<EnvAsked> = {}): EnvAsked => ({ groups: [{ image: 'fake:micro', cpu: 1, memMb: 100, diskMb: 100 }], lifetimeSeconds: 3600, ...more })

interface Ask {
  id: RouteId
  params?: Record<string, string | number>
  query?: string
  body?: unknown
  headers?: Record<string, string>
}

let count = 0
const fresh = (letter: string) => `${letter}${++count}`

/** Things of ann's, made when a row is about one. */
const things = {
  async env({ ann, cloud }: Ground): Promise<Resource<'env'>> {
    const name = fresh('e')
    await ann.collection('env').put(name, { spec: spec() })
    return seen(cloud, 'env', (change) => (change.type === 'is' && change.resource.name === name && change.resource.status?.phase === 'ready' ? change.resource : undefined))
  },
  async task(at: Ground): Promise<string> {
    const { status } = await things.env(at)
    const task = status?.task ?? ''
    await seen(at.cloud, 'task', (change) => (change.type === 'is' && change.resource.name === task && change.resource.status?.state === 'done') || undefined)
    return task
  },
  async user({ admin }: Ground): Promise<string> {
    const name = fresh('u')
    await admin.collection('user').put(name, { spec: {} })
    return name
  },
  async token({ ann }: Ground): Promise<string> {
    const name = `ann/${fresh('t')}`
    await ann.collection('token').put(name, { spec: { sha256: sha256(name) } })
    return name
  },
  /** A disk that was kept. */
  async image(at: Ground): Promise<string> {
    const { name } = await things.env(at)
    await at.ann.collection('env').remove(name, { keepDisks: true })
    return seen(at.cloud, 'image', (change) => (change.type === 'is' && change.resource.spec.owner === 'ann' && change.resource.name.includes(name) ? change.resource.name : undefined))
  },
}

const json = { 'content-type': 'application/json' }
const events = { accept: 'text/event-stream' }
const nameOf = (kind: Kind, name: string): Ask['params'] => (kind === 'vm' ? { name: `${name}.0` } : { name })

/** What each row asks. A row of a route that is not here cannot be asked, and the test says so. */
const asks: Partial<Record<RouteId, (at: Ground, of: string | undefined) => Promise<Omit<Ask, 'id'>>>> = {
  'list-env': async (_at, of) => (of === undefined ? {} : { headers: events }),
  'get-env': async (at, of) => ({ params: { name: (await things.env(at)).name }, ...(of === undefined ? {} : { query: '?wait=5' }) }),
  async 'put-env'(at, of) {
    const put = (name: string, body: object) => ({ params: { name }, body })
    const there = await things.env(at)
    switch (of ?? '') {
      case 'one that is there':
        return put(there.name, { spec: spec({ denyOutgoing: true }) })
      case 'a new one for somebody else':
        return put(fresh('n'), { spec: spec(), owner: await things.user(at) })
      case 'without an end':
        return put(fresh('n'), { spec: spec({ lifetimeSeconds: null }) })
      case 'with longLife':
        return put(fresh('n'), { spec: spec({ lifetimeSeconds: 30_000, longLife: true }) })
      case 'by the id of a task of another ENV':
        return put(fresh('n'), { spec: spec(), task: there.status?.task })
      case 'by the uid of another ENV':
        return put(fresh('n'), { spec: spec(), uid: there.uid })
      case 'from an image kept from a disk':
        return put(fresh('n'), { spec: { ...spec(), groups: [{ image: await things.image(at) }] } })
      default:
        return put(fresh('n'), { spec: spec() })
    }
  },
  'patch-env': async (at) => ({ params: { name: (await things.env(at)).name }, body: { spec: { denyOutgoing: true } } }),
  'remove-env': async (at) => ({ params: { name: (await things.env(at)).name } }),
  'list-vm': async (at, of) => (of === undefined ? {} : { query: `?under=${(await things.env(at)).name}`, ...(of.endsWith('change') ? { headers: events } : {}) }),
  'get-vm': async (at) => ({ params: nameOf('vm', (await things.env(at)).name) }),
  'list-vms-of-env': async (at) => ({ params: { name: (await things.env(at)).name } }),
  'get-vm-of-env': async (at) => ({ params: { name: (await things.env(at)).name, index: 0 } }),
  logs: async (at) => ({ params: { name: (await things.env(at)).name, index: 0 } }),
  async 'get-file'(at) {
    const { name } = await things.env(at)
    await push(at.cloud, { envs: [name], path: '/tmp/f' }, [await fileOf('', Buffer.from('x'))])
    return { params: { name, index: 0 }, query: '?path=/tmp/f' }
  },
  'put-file': async (at) => ({ params: { name: (await things.env(at)).name, index: 0 }, query: `?path=/tmp/f&sha256=${sha256('"x"')}`, body: 'x' }),
  run: async (at) => ({ params: { name: (await things.env(at)).name }, body: { argv: ['echo', 'x'] } }),
  'get-host': async () => ({ params: { name: 'one' } }),
  'get-image': async (at, of) => ({ params: { name: of === 'one kept from a disk' ? await things.image(at) : 'fake:micro' } }),
  'remove-image': async (at, of) => ({ params: { name: of === 'one kept from a disk' ? await things.image(at) : 'fake:micro' } }),
  'get-task': async (at) => ({ params: { name: await things.task(at) } }),
  'remove-task': async (at) => ({ params: { name: await things.task(at) } }),
  'get-user': async () => ({ params: { name: 'ann' } }),
  'put-user': async (_at, of) => ({ params: { name: of === undefined ? 'ann' : fresh('u') }, body: { spec: { role: 'user' } } }),
  'remove-user': async (at) => ({ params: { name: await things.user(at) } }),
  'get-token': async () => ({ params: { name: 'ann/token' } }),
  'put-token': async () => ({ params: { name: `ann/${fresh('t')}` }, body: { spec: { sha256: sha256(fresh('secret')) } } }),
  'remove-token': async (at) => ({ params: { name: await things.token(at) } }),
  session: async () => ({ body: { type: 'events' } }),
}

interface Answer {
  status: number
  body: string
}

/** Asks and hangs up once the answer has begun, or has ended where it is short. */
async function asked(at: Ground, caller: CallerName, { id, params = {}, query = '', body, headers = {} }: Ask): Promise<Answer> {
  const { method } = routes.find((route) => route.id === id) ?? assert.fail(`there is no route ${id}`)
  const secret = at.secrets[caller]
  const stop = new AbortController()
  const response = await fetch(`http://127.0.0.1:${at.port}${pathOf(id, params)}${query}`, {
    method,
    signal: stop.signal,
    headers: { ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }), ...(body === undefined ? {} : json), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = headers.accept !== undefined && response.ok ? '' : await response.text()
  stop.abort()
  return { status: response.status, body: text }
}

/** One envelope for every refusal, with a code of the table and the status that goes with it. */
function checkEnvelope({ status, body }: Answer, what: string): void {
  if (status < 400) return
  const { error } = JSON.parse(body) as { error: { code: ErrorCode; message: string; subject?: string; remedy?: string } }
  assert.equal(errorCodes[error.code].http, status, what)
  assert.ok(error.message !== '' && !error.message.includes('\n'), what)
}

describe('J01: every route, by who asks [J07]', { timeout: 120_000 }, () => {
  let at: Ground
  before(async () => (at = await ground()))
  after(() => at[Symbol.asyncDispose]())

  it('every route stands in the table', () => {
    const missing = routes.map(({ id }) => id).filter((id) => !rows.some(({ route }) => route === id))
    assert.deepEqual(missing, [])
    const twice = rows.map(({ route, of }) => `${route} ${of}`).filter((one, place, all) => all.indexOf(one) !== place)
    assert.deepEqual(twice, [])
  })

  for (const row of rows) {
    it(`${row.route}${row.of === undefined ? '' : `, ${row.of}`}`, async () => {
      const found: Partial<Row['statuses']> = {}
      for (const caller of callers) {
        const answer = await asked(at, caller, { id: row.route, ...(await asks[row.route]?.(at, row.of)) })
        checkEnvelope(answer, `${row.route} by ${caller}`)
        found[caller] = answer.status
      }
      assert.deepEqual(found, row.statuses)
    })
  }
})

describe('J01: every session, by who asks; fault 38: reload is for admins', { timeout: 120_000 }, () => {
  let at: Ground
  before(async () => (at = await ground()))
  after(() => at[Symbol.asyncDispose]())

  for (const [type, statuses] of Object.entries(sessions) as [SessionRequest['type'], Row['statuses']][]) {
    it(type, async () => {
      const found: Partial<Row['statuses']> = {}
      for (const caller of callers) {
        const vms = { envs: [(await things.env(at)).name] }
        const requests: Record<SessionRequest['type'], SessionRequest> = {
          exec: { type: 'exec', vms, command: { argv: ['echo', 'x'] } },
          console: { type: 'console', vms },
          screen: { type: 'screen', vms },
          push: { type: 'push', vms, path: '/tmp/x' },
          get: { type: 'get', vms, path: '/tmp/x' },
          ping: { type: 'ping', vms, timeoutMs: 1000 },
          logs: { type: 'logs', vms },
          events: { type: 'events' },
          audit: { type: 'audit' },
          reload: { type: 'reload' },
          doctor: { type: 'doctor' },
          build: { type: 'build', image: 'fake:micro' },
          import: { type: 'import', image: { name: 'imported', url: `http://127.0.0.1:${at.port}/none` } },
        }
        const request = requests[type]
        found[caller] = needsInput(request) ? await joined(at, caller, request) : (await asked(at, caller, { id: 'session', body: request })).status
      }
      assert.deepEqual(found, statuses)
    })
  }

  it('a session by WebSocket is refused as it is without', async () => {
    const { name } = await things.env(at)
    for (const caller of callers) {
      const request: SessionRequest = { type: 'exec', vms: { envs: [name] }, command: { argv: ['cat'] }, stdin: true }
      assert.equal(await joined(at, caller, request), sessions.exec[caller], caller)
    }
  })
})

/** The status that would say what became of a session over a WebSocket. */
async function joined(at: Ground, caller: CallerName, request: SessionRequest): Promise<number> {
  using transport = nodeTransport()
  const client = httpCloud(`http://127.0.0.1:${at.port}`, { token: at.secrets[caller] ?? '', world: realWorld, ...transport })
  try {
    await using _ = await client.open(request)
    return 200
  } catch (thrown) {
    return errorCodes[asTtError(thrown).code].http
  }
}

it('a user whose disks were kept stays: whoever got the name next would have them', { timeout: 60_000 }, async () => {
  await using at = await ground()
  const { admin, cloud } = at
  const [users, images] = [admin.collection('user'), admin.collection('image')]
  await users.put('carl', { spec: {} })
  await guard(cloud, { name: 'carl', role: 'user' }).collection('env').put('his', { spec: spec() })
  await seen(cloud, 'env', (change) => (change.type === 'is' && change.resource.status?.phase === 'ready') || undefined)
  await assert.rejects(users.remove('carl'), { code: 'conflict', message: 'carl has 1 ENV, the first his' })
  await admin.collection('env').remove('his', { keepDisks: true })
  const image = await seen(cloud, 'image', (change) => (change.type === 'is' && change.resource.spec.owner === 'carl' ? change.resource.name : undefined))
  while ((await cloud.collection('env').list()).items.length > 0) await realWorld.sleep(20)
  await assert.rejects(users.remove('carl'), { code: 'conflict', message: `carl has disks that were kept, the first ${image}` })
  await images.remove(image)
  while ((await images.list()).items.some(({ name }) => name === image)) await realWorld.sleep(50)
  await users.remove('carl')
})

it('docs/reference/roles.md says what is tested', () => {
  assert.equal(readFileSync(new URL('../docs/reference/roles.md', import.meta.url), 'utf8'), rolesReference(), 'run script/docs')
})

