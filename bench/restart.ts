import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bench, type Ground, roundsOf } from './bench.ts'
import { makeEnv } from './env.ts'
import { amountFinding } from './finding.ts'
import { root } from './machine.ts'
import { inPairs, ticks } from './measure.ts'
import { newPlace, plainEnv, startServer } from './server.ts'

const vms = 2000
const flags = ['--engine', 'fake', '--cpu-total', '1000000', '--mem-total', '1000000000', '--disk-total', '1000000000']

/** How long a server that is killed is gone: from its new start to its first answer about an ENV of many VMs, the built package. */
export const restart: Bench = {
  name: 'restart',
  about: `a server with ${vms} VMs, killed and started again, against one with none`,
  async run(ground) {
    const program = [process.execPath, '--disable-warning=ExperimentalWarning', join(root, 'dist/bin/ttserver.js')]
    const [many, none] = [newPlace(ground), newPlace(ground)]
    for (const place of [many, none]) {
      const server = await startServer(ground, { program, flags, place })
      if (place === many) await makeEnv(server.cloud, 'big', [{ image: 'fake:micro', count: vms }])
      process.kill(server.pid, 'SIGKILL')
    }
    const back = (place: typeof many, path: string, count: number) => async () => {
      const data = join(place.dir, 'data')
      const child = spawn(program[0] ?? '', [...program.slice(1), '--serv-port', String(place.port), '--log-path', join(place.dir, 'server.log'), ...flags], { env: { ...plainEnv(place.dir), TT_DATA_DIR: data }, stdio: 'ignore' })
      const ended = once(child, 'exit')
      const token = (await import('node:fs')).readFileSync(join(data, 'token'), 'utf8').trim()
      const begun = ticks()
      let answer: string | undefined
      while ((answer = await asked(place.port, path, token)) === undefined) await sleep(5, undefined, { signal: ground.signal })
      const took = (ticks() - begun) / 1000
      const ready = count === 0 ? 0 : (JSON.parse(answer) as { status: { vms: number } }).status.vms
      child.kill('SIGKILL')
      await ended
      if (ready !== count) throw new Error(`it answered ${ready} VMs, there are ${count}`)
      return took
    }
    const pairs = await inPairs(ground, { ours: back(many, '/v1/env/big', vms), peer: back(none, '/v1', 0) }, { rounds: roundsOf(ground, 10) })
    await Promise.all([many, none].map((place) => cleared(ground, { program, place })))
    return [amountFinding({ name: `restart with ${vms} VMs`, step: 2, goal: 1 }, { what: 'from the start of the process to its first answer about them', unit: 's', samples: pairs.ours }, { peer: { what: 'the same server without VMs', unit: 's', samples: pairs.peer } })]
  },
}

async function cleared(ground: Ground, { program, place }: { program: string[]; place: { port: number; dir: string } }): Promise<void> {
  const server = await startServer(ground, { program, flags, place })
  await server[Symbol.asyncDispose]()
}

const asked = (port: number, path: string, token: string) =>
  new Promise<string | undefined>((resolve) => {
    get({ host: '127.0.0.1', port, path, agent: false, headers: { authorization: `Bearer ${token}` } }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => (text += piece))
      response.once('end', () => resolve(response.statusCode === 200 ? text : undefined))
    }).once('error', () => resolve(undefined))
  })
