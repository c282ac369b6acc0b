import { type BareMachine, bareMachine, runBy } from './bare-guest.ts'
import { type Bench, type Ground, roundsOf } from './bench.ts'
import { makeEnv, removeEnv, runIn } from './env.ts'
import { type Finding, ratioFinding } from './finding.ts'
import { inPairs, msOf, partTimes, ticks } from './measure.ts'
import { type Server, startServer } from './server.ts'

/** Between two boots: what the last one left to do for the kernel is not to meet the next. */
const restMs = 300

/** From the wish for an ENV to the end of the first command in its guests, and the way back; against QEMU with the same arguments and nobody beside it. */
export const coldStart: Bench = {
  name: 'cold-start',
  about: '`env add` to first command answered, and `env del`, against bare QEMU',
  async run(ground) {
    await using server = await startServer(ground)
    await using bare = await bareMachine(ground)
    const one = await boots(ground, { server, bare }, { vms: 1, rounds: roundsOf(ground, 30) })
    const five = await boots(ground, { server, bare }, { vms: 5, rounds: roundsOf(ground, 4) })
    const peer = 'bare QEMU, same image and arguments'
    return [
      ratioFinding({ name: 'env add to first command answered', step: 1.15, goal: 1.05 }, { what: 'put, ready, first `true` over the API', unit: 'ms', samples: one.start.ours, parts: one.parts.ours }, { what: peer, unit: 'ms', samples: one.start.peer, parts: one.parts.peer }),
      ratioFinding({ name: 'the same, 5 VMs at once' }, { what: 'all 5 have answered', unit: 'ms', samples: five.start.ours, parts: five.parts.ours }, { what: `5 times ${peer}`, unit: 'ms', samples: five.start.peer, parts: five.parts.peer }),
      ratioFinding({ name: 'env del until nothing is left' }, { what: '1 VM: remove to gone', unit: 'ms', samples: one.end.ours }, { what: 'kill -9, rm the disk, ip link delete', unit: 'ms', samples: one.end.peer }),
    ] satisfies Finding[]
  },
}

interface Boots {
  start: { ours: number[]; peer: number[] }
  end: { ours: number[]; peer: number[] }
  parts: { ours: Record<string, number>; peer: Record<string, number> }
}

async function boots(ground: Ground, { server, bare }: { server: Server; bare: BareMachine }, { vms, rounds }: { vms: number; rounds: number }): Promise<Boots> {
  const end: Boots['end'] = { ours: [], peer: [] }
  const parts = { ours: partTimes(), peer: partTimes() }
  const { cloud } = server
  const start = await inPairs(
    ground,
    {
      async ours() {
        const begun = ticks()
        await makeEnv(cloud, 'cold', [{ image: 'micro', count: vms }])
        const ready = ticks()
        await runIn(cloud, 'cold', { argv: ['true'] })
        const answered = ticks()
        parts.ours.add({ ready: ready - begun, command: answered - ready })
        end.ours.push(await msOf(() => removeEnv(cloud, 'cold')))
        return answered - begun
      },
      async peer() {
        const guests = await Promise.all(Array.from({ length: vms }, () => bare.prepare()))
        const begun = ticks()
        let ready = 0
        await Promise.all(
          guests.map(async (guest) => {
            const channel = guest.start()
            await channel.ready()
            ready = ticks()
            await runBy(channel, ['true'])
          }),
        )
        const answered = ticks()
        parts.peer.add({ ready: ready - begun, command: answered - ready })
        end.peer.push(await msOf(() => Promise.all(guests.map((guest) => guest[Symbol.asyncDispose]()))))
        return answered - begun
      },
    },
    { rounds, restMs },
  )
  return { start, end: { ours: end.ours.slice(1), peer: end.peer.slice(1) }, parts: { ours: parts.ours.medians(), peer: parts.peer.medians() } }
}
