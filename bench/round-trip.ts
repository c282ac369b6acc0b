import { bareMachine, runBy } from './bare-guest.ts'
import { type Bench, roundsOf } from './bench.ts'
import { wholeProcess } from './command.ts'
import { makeEnv, runIn } from './env.ts'
import { amountFinding, ratioFinding } from './finding.ts'
import { inPairs, inTurn, msOf } from './measure.ts'
import { join } from 'node:path'
import { root } from './machine.ts'
import { startServer } from './server.ts'
import { sshInto } from './ssh.ts'

/** A command in a guest that is there: over the API, by the agent alone, by ssh; and as whole processes, as people type them. */
export const roundTrip: Bench = {
  name: 'round-trip',
  about: 'a command in a running guest, against the raw agent and against ssh',
  async run(ground) {
    await using server = await startServer(ground)
    await using bare = await bareMachine(ground)
    await using twin = await bare.prepare()
    const raw = twin.start()
    const { cloud, env } = server
    await makeEnv(cloud, 'trip', [{ image: 'micro', count: 1 }])
    await runBy(raw, ['true'])
    const [vm] = (await cloud.collection('vm').list({ under: 'trip' })).items
    using ssh = await sshInto(ground, { cloud, env: 'trip', ip: vm?.status?.ip ?? '' })

    const api = () => msOf(() => runIn(cloud, 'trip', { argv: ['true'] }))
    const byAgent = await inPairs(ground, { ours: api, peer: () => msOf(() => runBy(raw, ['true'])) }, { rounds: roundsOf(ground, 200) })
    const bySsh = await inPairs(ground, { ours: api, peer: () => wholeProcess(ssh.whole, ssh.env) }, { rounds: roundsOf(ground, 40) })
    const byKept = await inPairs(ground, { ours: api, peer: () => wholeProcess(ssh.kept, ssh.env) }, { rounds: roundsOf(ground, 40) })
    const tt = [join(root, 'tt'), 'env', 'run', 'trip', '--cmd', 'true']
    const whole = await inPairs(ground, { ours: () => wholeProcess(tt, env), peer: () => wholeProcess(ssh.whole, ssh.env) }, { rounds: roundsOf(ground, 40) })
    const wholeKept = await inPairs(ground, { ours: () => wholeProcess(tt, env), peer: () => wholeProcess(ssh.kept, ssh.env) }, { rounds: roundsOf(ground, 20) })
    const about = await inTurn(ground, roundsOf(ground, 200), () => msOf(() => cloud.about()))
    const ping = await inTurn(ground, roundsOf(ground, 200), () => msOf(() => raw.ping()))

    const overApi = 'exec `true` over the API, connection kept'
    const login = 'ssh, whole login and `true`'
    const kept = 'ssh over a kept ControlMaster'
    const asCommand = '`tt env run X --cmd true`, whole process'
    return [
      ratioFinding({ name: 'exec round trip to the raw agent', step: 1.5, goal: 1.1 }, side(overApi, byAgent.ours), side('exec `true` by the agent alone', byAgent.peer)),
      ratioFinding({ name: 'exec round trip to ssh', better: 'more', step: 20, goal: 100 }, side(overApi, bySsh.ours), side(login, bySsh.peer)),
      ratioFinding({ name: 'exec round trip to a kept ssh', better: 'more' }, side(overApi, byKept.ours), side(kept, byKept.peer)),
      ratioFinding({ name: 'tt env run to ssh, whole processes', better: 'more', step: 1, goal: 2 }, side(asCommand, whole.ours), side(login, whole.peer)),
      ratioFinding({ name: 'tt env run to a kept ssh', better: 'more' }, side(asCommand, wholeKept.ours), side(kept, wholeKept.peer)),
      amountFinding({ name: 'smallest answer of the API' }, side('GET /v1', about), { peer: side('ping of the agent', ping) }),
    ]
  },
}

const side = (what: string, samples: number[]) => ({ what, unit: 'ms' as const, samples })
