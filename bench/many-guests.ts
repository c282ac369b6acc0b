import { type Bench, roundsOf } from './bench.ts'
import { makeEnv, removeEnv, runIn } from './env.ts'
import { amountFinding } from './finding.ts'
import { inTurn, msOf } from './measure.ts'
import { startServer } from './server.ts'

const guests = 30
const fakes = 2000

/** One command over many guests, by one connection. Nobody else does this, so beside it stands the same command in one guest. */
export const manyGuests: Bench = {
  name: 'many-guests',
  about: `one command in ${guests} real guests, and in ${fakes} of the fake engine`,
  async run(ground) {
    const real = await ran(ground, { flags: ['--cpu-total', '64', '--mem-total', '16384'], group: { image: 'micro', count: guests, diskMb: 512 }, rounds: 20 })
    const fake = await ran(ground, { flags: ['--engine', 'fake', '--mem-total', '10000000', '--cpu-total', '100000', '--disk-total', '100000000'], group: { image: 'fake:micro', count: fakes }, rounds: 10 })
    return [
      amountFinding({ name: `one command in ${guests} VMs`, step: 300, goal: 150 }, { what: 'over the API, connection kept', unit: 'ms', samples: real.all }, { peer: { what: 'in one VM', unit: 'ms', samples: real.one } }),
      amountFinding({ name: `one command in ${fakes} fake VMs` }, { what: 'over the API, connection kept', unit: 'ms', samples: fake.all }, { peer: { what: 'in one VM', unit: 'ms', samples: fake.one } }),
    ]
  },
}

async function ran(ground: Parameters<Bench['run']>[0], { flags, group, rounds }: { flags: string[]; group: { image: string; count: number; diskMb?: number }; rounds: number }): Promise<{ all: number[]; one: number[] }> {
  await using server = await startServer(ground, { flags })
  const { cloud } = server
  await makeEnv(cloud, 'many', [group])
  await makeEnv(cloud, 'one', [{ ...group, count: 1 }])
  const command = { argv: ['true'] }
  await inTurn(ground, 3, () => msOf(() => runIn(cloud, 'many', command)))
  const all = await inTurn(ground, roundsOf(ground, rounds), () =>
    msOf(async () => {
      const exits = await runIn(cloud, 'many', command)
      if (exits !== group.count) throw new Error(`${exits} of ${group.count} VMs answered`)
    }),
  )
  const one = await inTurn(ground, roundsOf(ground, rounds), () => msOf(() => runIn(cloud, 'one', command)))
  await removeEnv(cloud, 'many')
  await removeEnv(cloud, 'one')
  return { all, one }
}
