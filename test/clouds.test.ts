import { apiServer } from '../src/api/server.ts'
import { httpCloud } from '../src/api/client.ts'
import { nodeTransport } from '../src/api/node-transport.ts'
import { silentLog } from '../src/base/log.ts'
import { realWorld } from '../src/base/world.ts'
import { audit, type AuditTrail } from '../src/cloud/audit.ts'
import { guard } from '../src/cloud/guard.ts'
import type { Cloud } from '../src/model/cloud.ts'
import { accountContract, roleContract, withAccounts } from '../src/model/user.contract.ts'
import { cloudContract } from '../src/model/cloud.contract.ts'
import type { CloudUnderTest } from '../src/model/cloud-under-test.ts'
import { sessionContract } from '../src/model/session.contract.ts'
import type { User } from '../src/model/user.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

const callers: Record<'ann' | 'bob' | 'vera' | 'admin', User> = { ann: { name: 'ann', role: 'user' }, bob: { name: 'bob', role: 'user' }, vera: { name: 'vera', role: 'viewer' }, admin: { name: 'admin', role: 'admin' } }
const known = new Map(Object.values(callers).map((user) => [`token-of-${user.name}`, { user }]))

/** The cloud as each of them has it. */
type Seen = { [Name in keyof typeof callers]: Cloud }
type Around = (cloud: Cloud, user: User) => Cloud

/** The cluster, and what `see` makes of it for its users. */
function under(see: (cloud: Cloud, stack: AsyncDisposableStack) => Promise<Omit<CloudUnderTest, 'image' | typeof Symbol.asyncDispose>>) {
  return async (): Promise<CloudUnderTest> => {
    await using building = new AsyncDisposableStack()
    const { dir } = building.use(temporaryDir('clouds'))
    const { cloud } = building.use(await fakeCloud({ dir }))
    await withAccounts(cloud, { ann: {}, bob: {}, vera: { role: 'viewer' } })
    const seen = await see(cloud, building)
    const stack = building.move()
    return { ...seen, image: 'fake:micro', [Symbol.asyncDispose]: () => stack.disposeAsync() }
  }
}

const each = (make: (user: User) => Cloud) => Object.fromEntries(Object.entries(callers).map(([name, user]) => [name, make(user)])) as Seen
const asUsers = ({ ann, bob, vera, admin }: Seen) => ({ cloud: ann, other: bob, viewer: vera, admin })

/** Clients of the cloud over HTTP, one for each user. */
async function overHttp(cloud: Cloud, stack: AsyncDisposableStack, around: Around): Promise<Seen> {
  const server = stack.use(apiServer({ cloudFor: (user) => around(cloud, user), authenticate: (token) => known.get(token), world: realWorld, log: silentLog, drainMs: 200 }))
  await server.listen('127.0.0.1', 0)
  return each(({ name }) => httpCloud(`http://127.0.0.1:${server.address?.port}`, { token: `token-of-${name}`, world: realWorld, ...stack.use(nodeTransport()) }))
}

const trail: AuditTrail = { write: () => undefined, tail: async () => ({ entries: [], stop: () => undefined }) }
const audited: Around = (cloud, user) => audit(guard(cloud, user), { trail, user, origin: { request: 'r' }, world: realWorld })

const stacks: { name: string; make: () => Promise<CloudUnderTest>; roles?: true }[] = [
  { name: 'cluster', make: under(async (cloud) => ({ cloud, admin: cloud })) },
  { name: 'guard over cluster', roles: true, make: under(async (cloud) => asUsers(each((user) => guard(cloud, user)))) },
  { name: 'audit over guard over cluster', roles: true, make: under(async (cloud) => asUsers(each((user) => audited(cloud, user)))) },
  { name: 'guard over cluster, for an admin', make: under(async (cloud) => ({ cloud: guard(cloud, callers.admin), admin: guard(cloud, callers.admin) })) },
  { name: 'httpCloud over guard over cluster', roles: true, make: under(async (cloud, stack) => asUsers(await overHttp(cloud, stack, guard))) },
  {
    name: 'httpCloud over audit over guard over cluster, as admin',
    make: under(async (cloud, stack) => {
      const { admin } = await overHttp(cloud, stack, audited)
      return { cloud: admin, admin }
    }),
  },
]

for (const stack of stacks) {
  cloudContract(stack)
  accountContract(stack)
  if (stack.roles) roleContract(stack)
  sessionContract(stack)
}
