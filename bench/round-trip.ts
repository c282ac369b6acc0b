import { bareMachine, runBy } from './bare-guest.ts'
import { type Bench, roundsOf } from './bench.ts'
import { wholeProcess } from './command.ts'
import { makeEnv, runIn } from './env.ts'
import { amountFinding, ratioFinding } from './finding.ts'
import { inPairs, inTurn, msOf } from './measure.ts'
import { join } from 'node:path'
import { root } from './machine.ts'
import { opensshPort, startOpenssh } from './openssh.ts'
import { startServer } from './server.ts'
import { sshInto } from './ssh.ts'
import { median } from './statistics.ts'

/** After a login the guest still has its session to clear away, which is not to meet the next measurement. */
const restMs = 50

/** Of both sides: what a server that has been running for a while is like. Node compiles what it runs often, and the first commands of a new server take twice as long. */
const warmUps = 800

/** A single command after a rest finds caches cold and an idle processor, on the host as in the guest, and takes twice as long; both are told. */
const inARow = 10

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
    const ip = vm?.status?.ip ?? ''
    using ssh = await sshInto(ground, { cloud, env: 'trip', ip })
    await startOpenssh(cloud, 'trip')
    using openssh = await sshInto(ground, { cloud, env: 'trip', ip, port: opensshPort })

    const api = () => msOf(() => runIn(cloud, 'trip', { argv: ['true'] }))
    const byAgent = await inPairs(ground, { ours: api, peer: () => msOf(() => runBy(raw, ['true'])) }, { rounds: roundsOf(ground, 200), warmUps: roundsOf(ground, warmUps) })
    const bySsh = await inPairs(ground, { ours: () => medianInARow(api), peer: () => wholeProcess(ssh.whole, ssh.env) }, { rounds: roundsOf(ground, 40), restMs })
    const rested = await inPairs(ground, { ours: api, peer: () => wholeProcess(ssh.whole, ssh.env) }, { rounds: roundsOf(ground, 40), restMs })
    const byOpenssh = await inPairs(ground, { ours: () => medianInARow(api), peer: () => wholeProcess(openssh.whole, openssh.env) }, { rounds: roundsOf(ground, 20), restMs })
    const byKeptOpenssh = await inPairs(ground, { ours: () => medianInARow(api), peer: () => wholeProcess(openssh.kept, openssh.env) }, { rounds: roundsOf(ground, 20), restMs })
    const byKept = await inPairs(ground, { ours: api, peer: () => wholeProcess(ssh.kept, ssh.env) }, { rounds: roundsOf(ground, 40), restMs })
    const tt = [join(root, 'tt'), 'env', 'run', 'trip', '--cmd', 'true']
    const whole = await inPairs(ground, { ours: () => wholeProcess(tt, env), peer: () => wholeProcess(ssh.whole, ssh.env) }, { rounds: roundsOf(ground, 40), restMs })
    const wholeKept = await inPairs(ground, { ours: () => wholeProcess(tt, env), peer: () => wholeProcess(ssh.kept, ssh.env) }, { rounds: roundsOf(ground, 20), restMs })
    const about = await inTurn(ground, roundsOf(ground, 200), () => msOf(() => cloud.about()))
    const ping = await inTurn(ground, roundsOf(ground, 200), () => msOf(() => raw.ping()))

    const overApi = 'exec `true` over the API, connection kept'
    const login = 'ssh to dropbear, whole login and `true`'
    const opensshLogin = 'ssh to OpenSSH, whole login and `true`'
    const inARowOver = `${overApi}: the median of ${inARow} in a row`
    const kept = 'ssh to dropbear over a kept ControlMaster'
    const asCommand = '`tt env run X --cmd true`, whole process'
    return [
      ratioFinding({ name: 'exec round trip to the raw agent', step: 1.3, goal: 1.1 }, side(overApi, byAgent.ours), side('exec `true` by the agent alone', byAgent.peer)),
      ratioFinding({ name: 'exec round trip to a login at OpenSSH', better: 'more', step: 50, goal: 100 }, side(inARowOver, byOpenssh.ours), side(opensshLogin, byOpenssh.peer)),
      ratioFinding({ name: 'exec round trip to a kept OpenSSH', better: 'more' }, side(inARowOver, byKeptOpenssh.ours), side('ssh to OpenSSH over a kept ControlMaster', byKeptOpenssh.peer)),
      ratioFinding({ name: 'exec round trip to a login at dropbear', better: 'more' }, side(inARowOver, bySsh.ours), side(login, bySsh.peer)),
      ratioFinding({ name: 'a single exec after a login to ssh', better: 'more' }, side(`${overApi}: one after ${restMs} ms of rest`, rested.ours), side(login, rested.peer)),
      ratioFinding({ name: 'exec round trip to a kept ssh', better: 'more' }, side(overApi, byKept.ours), side(kept, byKept.peer)),
      ratioFinding({ name: 'tt env run to ssh, whole processes', better: 'more', step: 1, goal: 2 }, side(asCommand, whole.ours), side(login, whole.peer)),
      ratioFinding({ name: 'tt env run to a kept ssh', better: 'more' }, side(asCommand, wholeKept.ours), side(kept, wholeKept.peer)),
      amountFinding({ name: 'smallest answer of the API' }, side('GET /v1', about), { peer: side('ping of the agent', ping) }),
    ]
  },
}

const side = (what: string, samples: number[]) => ({ what, unit: 'ms' as const, samples })

async function medianInARow(once: () => Promise<number>): Promise<number> {
  const samples: number[] = []
  for (let round = 0; round < inARow; round++) samples.push(await once())
  return median(samples)
}
