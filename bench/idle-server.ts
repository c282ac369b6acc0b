import { execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bench, type Ground, roundsOf } from './bench.ts'
import { amountFinding } from './finding.ts'
import { root } from './machine.ts'
import { cpuMsOf, memoryOf, offspringOf } from './process-usage.ts'
import { startServer } from './server.ts'

const settleMs = 10_000
const watchMs = 20_000

/** What a server costs that nobody asks anything: the built package, with real drivers and store. */
export const idleServer: Bench = {
  name: 'idle-server',
  about: 'memory and processor time of an idle server from the built package, against a bare Node',
  async run(ground) {
    ground.say('building the package')
    execFileSync('sh', [join(root, 'script/build')], { stdio: ['ignore', 'ignore', 'inherit'] })
    const servers: Usage[] = []
    const bare: Usage[] = []
    const program = [process.execPath, '--disable-warning=ExperimentalWarning', join(root, 'dist/bin/ttserver.js')]
    for (let round = 0; round < roundsOf(ground, 3); round++) {
      await using server = await startServer(ground, { program })
      const idle = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 2 ** 30)'], { stdio: 'ignore' })
      ground.say(`an idle server and an idle Node, round ${round + 1}`)
      const [one, other] = await Promise.all([usageOf(server.pid, ground), usageOf(idle.pid ?? 0, ground)])
      servers.push(one)
      bare.push(other)
      idle.kill('SIGKILL')
    }
    const finding = (claim: { name: string; step?: number; goal?: number }, what: string, { of, unit }: { of: (usage: Usage) => number; unit: 'MB' | '%' }) =>
      amountFinding(claim, { what, unit, samples: servers.map(of) }, { peer: { what: 'a bare Node that waits', unit, samples: bare.map(of) } })
    return [
      finding({ name: 'idle server, memory', step: 100, goal: 80 }, `resident (RSS) after ${settleMs / 1000} s`, { of: ({ rssMb }) => rssMb, unit: 'MB' }),
      finding({ name: 'idle server, memory of its own' }, 'proportional (PSS)', { of: ({ pssMb }) => pssMb, unit: 'MB' }),
      finding({ name: 'idle server, its helpers' }, 'PSS of nft and ip beside it', { of: ({ helpersPssMb }) => helpersPssMb, unit: 'MB' }),
      finding({ name: 'idle server, processor', goal: 0.5 }, `of one core over ${watchMs / 1000} s, helpers included`, { of: ({ cpuPercent }) => cpuPercent, unit: '%' }),
    ]
  },
}

interface Usage {
  rssMb: number
  pssMb: number
  helpersPssMb: number
  cpuPercent: number
}

async function usageOf(pid: number, { signal }: Ground): Promise<Usage> {
  await sleep(settleMs, undefined, { signal })
  const memory = memoryOf(pid)
  const all = [pid, ...offspringOf(pid)]
  const helpersPssMb = all.slice(1).reduce((sum, one) => sum + memoryOf(one).pssMb, 0)
  const used = () => all.reduce((sum, one) => sum + cpuMsOf(one), 0)
  const before = used()
  await sleep(watchMs, undefined, { signal })
  return { ...memory, helpersPssMb, cpuPercent: ((used() - before) / watchMs) * 100 }
}
