import { get } from 'node:http'
import { type Bench, type Ground, roundsOf } from './bench.ts'
import { makeEnv, removeEnv, runIn } from './env.ts'
import { amountFinding, type Claim, type Finding, type Unit } from './finding.ts'
import { inTurn, msOf, ticks } from './measure.ts'
import { memoryOf } from './process-usage.ts'
import { type Server, startServer } from './server.ts'

/** The number at which the system this one takes after broke, measured beside ours for comparison. */
const reference = 400
const many = 10_000
const enough = ['--cpu-total', '1000000', '--mem-total', '1000000000', '--disk-total', '1000000000']

/** One ENV of 10,000 VMs on the fake engine: everything but the guests is real. */
export const tenThousand: Bench = {
  name: 'ten-thousand',
  about: `one ENV of ${many} VMs on the fake engine, against one of ${reference}`,
  async run(ground) {
    await using server = await startServer(ground, { flags: ['--engine', 'fake', ...enough] })
    const small = await measured(ground, server, reference)
    const large = await measured(ground, server, many)
    const finding = (claim: Claim, what: string, { of, unit = 'ms', judged }: { of: (one: Sizes) => number[]; unit?: Unit; judged?: 'p99' }): Finding =>
      amountFinding(claim, { what, unit, samples: of(large) }, { peer: { what: `the same with ${reference} VMs`, unit, samples: of(small) }, ...(judged ? { judged } : {}) })
    return [
      finding({ name: `create ${many} VMs`, step: 10, goal: 3 }, 'put to ready', { of: ({ create }) => create, unit: 's' }),
      finding({ name: 'env list, p99', goal: 20 }, 'GET /v1/env', { of: ({ list }) => list, judged: 'p99' }),
      finding({ name: 'VM list, first byte', goal: 20 }, `GET /v1/env/X/vm of ${many}`, { of: ({ firstByte }) => firstByte }),
      finding({ name: 'VM list, all of it', goal: 200 }, `GET /v1/env/X/vm of ${many}`, { of: ({ whole }) => whole }),
      finding({ name: 'a command in all of them' }, `exec \`true\` in ${many} fake guests`, { of: ({ fanOut }) => fanOut, unit: 's' }),
      finding({ name: `delete ${many} VMs` }, 'remove to gone', { of: ({ remove }) => remove, unit: 's' }),
      finding({ name: 'memory of the server with them' }, 'resident', { of: ({ memory }) => memory, unit: 'MB' }),
      await fanOut(ground, server),
    ]
  },
}

interface Sizes {
  create: number[]
  list: number[]
  firstByte: number[]
  whole: number[]
  fanOut: number[]
  remove: number[]
  memory: number[]
}

/** Every number of an ENV of so many VMs. */
async function measured(ground: Ground, { cloud, port, token, pid }: Server, count: number): Promise<Sizes> {
  const sizes: Sizes = { create: [], list: [], firstByte: [], whole: [], fanOut: [], remove: [], memory: [] }
  const times = ground.quick ? 1 : 3
  for (let time = 1; time <= times; time++) {
    ground.signal.throwIfAborted()
    ground.say(`${count} VMs, ${time} of ${times}`)
    sizes.create.push((await msOf(() => makeEnv(cloud, 'big', [{ prefix: 'micro', count }]))) / 1000)
    if (time === times) {
      sizes.list.push(...(await inTurn(ground, roundsOf(ground, 200), () => msOf(() => cloud.collection('env').list()))))
      await fetched(port, '/v1/env/big/vm', token)
      for (let round = 0; round < roundsOf(ground, 20); round++) {
        const { firstByteMs, wholeMs } = await fetched(port, '/v1/env/big/vm', token)
        sizes.firstByte.push(firstByteMs)
        sizes.whole.push(wholeMs)
      }
      sizes.memory.push(memoryOf(pid).rssMb)
      sizes.fanOut.push((await msOf(() => runIn(cloud, 'big', { argv: ['true'] }))) / 1000)
    }
    sizes.remove.push((await msOf(() => removeEnv(cloud, 'big'))) / 1000)
  }
  return sizes
}

async function fanOut(ground: Ground, { cloud }: Server): Promise<Finding> {
  const times = async (count: number) => {
    await makeEnv(cloud, 'fan', [{ prefix: 'micro', count }])
    const samples = await inTurn(ground, roundsOf(ground, 50), () => msOf(() => runIn(cloud, 'fan', { argv: ['true'] })))
    await removeEnv(cloud, 'fan')
    return samples
  }
  const one = await times(1)
  return amountFinding({ name: 'a command in 50 fake guests' }, { what: 'exec `true`, to the last exit', unit: 'ms', samples: await times(50) }, { peer: { what: 'in 1 fake guest', unit: 'ms', samples: one } })
}

/** How long an answer takes to begin and to end, on a connection of its own. */
function fetched(port: number, path: string, token: string): Promise<{ firstByteMs: number; wholeMs: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ firstByteMs: number; wholeMs: number }>()
  const begun = ticks()
  let firstByteMs: number | undefined
  get({ host: '127.0.0.1', port, path, agent: false, headers: { authorization: `Bearer ${token}` } }, (response) => {
    if (response.statusCode !== 200) reject(new Error(`${path} answered ${response.statusCode}`))
    response.on('data', () => (firstByteMs ??= ticks() - begun))
    response.once('end', () => resolve({ firstByteMs: firstByteMs ?? 0, wholeMs: ticks() - begun }))
  }).once('error', reject)
  return promise
}
