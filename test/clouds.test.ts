import { apiServer } from '../src/api/server.ts'
import { httpCloud } from '../src/api/client.ts'
import { nodeTransport } from '../src/api/node-transport.ts'
import { silentLog } from '../src/base/log.ts'
import { realWorld } from '../src/base/world.ts'
import { guard } from '../src/cloud/guard.ts'
import type { Cloud } from '../src/model/cloud.ts'
import { cloudContract } from '../src/model/cloud.contract.ts'
import type { CloudUnderTest } from '../src/model/cloud-under-test.ts'
import { sessionContract } from '../src/model/session.contract.ts'
import type { User } from '../src/model/user.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

const ann: User = { name: 'ann', role: 'user' }
const bob: User = { name: 'bob', role: 'user' }
const admin: User = { name: 'admin', role: 'admin' }
const users = new Map([ann, bob, admin].map((user) => [`token-of-${user.name}`, user]))

/** The cluster, and what `see` makes of it for its users. */
function under(see: (cloud: Cloud, stack: AsyncDisposableStack) => Promise<{ cloud: Cloud; other?: Cloud }>) {
  return async (): Promise<CloudUnderTest> => {
    await using building = new AsyncDisposableStack()
    const { dir } = building.use(temporaryDir('clouds'))
    const { cloud } = building.use(await fakeCloud({ dir }))
    const seen = await see(cloud, building)
    const stack = building.move()
    return { ...seen, image: 'fake:micro', [Symbol.asyncDispose]: () => stack.disposeAsync() }
  }
}

/** Clients of the cloud over HTTP, one for each user. */
async function overHttp(cloud: Cloud, stack: AsyncDisposableStack, ...callers: User[]): Promise<Cloud[]> {
  const server = stack.use(apiServer({ cloudFor: (user) => guard(cloud, user), authenticate: (token) => users.get(token), world: realWorld, log: silentLog, drainMs: 200 }))
  await server.listen('127.0.0.1', 0)
  return callers.map((caller) => httpCloud(`http://127.0.0.1:${server.address?.port}`, { token: `token-of-${caller.name}`, world: realWorld, ...stack.use(nodeTransport()) }))
}

const all: Record<string, () => Promise<CloudUnderTest>> = {
  cluster: under(async (cloud) => ({ cloud })),
  'guard over cluster': under(async (cloud) => ({ cloud: guard(cloud, ann), other: guard(cloud, bob) })),
  'httpCloud over cluster, as admin': under(async (cloud, stack) => ({ cloud: (await overHttp(cloud, stack, admin))[0] as Cloud })),
  'httpCloud over guard over cluster': under(async (cloud, stack) => {
    const [mine, theirs] = await overHttp(cloud, stack, ann, bob)
    return { cloud: mine as Cloud, other: theirs as Cloud }
  }),
}

for (const [name, make] of Object.entries(all)) {
  cloudContract({ name, make })
  sessionContract({ name, make })
}
