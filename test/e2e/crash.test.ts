import assert from 'node:assert/strict'
import { test } from 'node:test'
import { audit } from '../crash/audit.ts'
import { play } from '../crash/play.ts'
import { asked, type Point, pointOf, pointsOf, sample, summary, sweep } from '../crash/points.ts'
import { processGround, type ProcessOptions } from '../crash/processes.ts'
import { realMachine } from '../crash/real-machine.ts'
import { scenario } from '../crash/scenario.ts'
import { inNamespace, type ServerGround, serverGround, type ShownEnv, traces } from './ground.ts'

const soak = process.env['TT_SOAK'] === '1'
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** What the client sees of an ENV, or undefined if there is none. */
async function shown(server: ServerGround, name: string): Promise<ShownEnv['envs'][number] | undefined> {
  const said = await server.tt('env', 'show', name, '--json')
  return said.code === 0 ? (JSON.parse(said.stdout) as ShownEnv).envs[0] : undefined
}

async function settled(server: ServerGround, name: string): Promise<ShownEnv['envs'][number] | undefined> {
  for (let tries = 0; tries < 600; tries++) {
    const env = await shown(server, name)
    if (env === undefined || env.phase === 'ready' || env.phase === 'failed') return env
    await sleep(100)
  }
  throw new Error(`ENV ${name} did not settle: ${server.log().slice(-3000)}`)
}

async function cleanAfterwards(server: ServerGround): Promise<void> {
  const deleted = await server.tt('env', 'del', 'five')
  assert.ok(deleted.code === 0 || deleted.code === 6, deleted.stderr)
  assert.deepEqual(traces(server.mark(), `${server.dir}/data`), [])
  const doctor = await server.tt('doctor', '--leaks')
  assert.equal(doctor.code, 0, doctor.stdout)
}

await inNamespace(import.meta.url, () => {
  const waits = asked !== undefined ? [] : soak ? Array.from({ length: 40 }, (_, at) => at * 75) : [150, 900]
  for (const waitMs of waits) {
    test(`a server killed ${waitMs} ms into making 5 VMs finds them again or makes them`, { timeout: 240_000 }, async () => {
      await using server = serverGround()
      await server.start()
      const added = await server.tt('env', 'add', 'five', '-s', 'micro', '-d', '4', '--no-wait')
      assert.equal(added.code, 0, added.stderr)
      await sleep(waitMs)
      const before = await shown(server, 'five')
      await server.stop('SIGKILL')
      await server.start()
      const env = await settled(server, 'five')
      assert.equal(env?.phase, 'ready', server.log().slice(-3000))
      for (const vm of env.vms) {
        const pid = before?.vms.find(({ index }) => index === vm.index)?.pid
        if (typeof pid === 'number') assert.equal(vm.pid, pid, `${vm.name} kept its process`)
      }
      const ran = await server.tt('env', 'run', 'five', '--cmd', 'true')
      assert.equal(ran.code, 0, ran.stderr)
      await cleanAfterwards(server)
    })
  }

  // The tiny guest boots in an instant, so that every effect can have its turn.
  const image = 'demo-os'
  const steps = scenario({ image, owner: 'admin', size: { cpu: 1, memMb: 100, diskMb: 100 }, ports: [80], count: 2, failing: false, expiring: false, uncounted: true })
  const judge: ProcessOptions['judge'] = ({ dataDir, mark }, wish, nowMs) => {
    const { machine, strays } = realMachine(dataDir, mark())
    return [...audit(machine, wish, nowMs), ...strays]
  }
  const played = async ({ fates }: Point) => {
    await using ground = processGround({ flags: [], judge })
    return await play(ground, steps, fates)
  }

  if (asked !== undefined) {
    test(`a server of real guests killed at ${asked} loses nothing and leaks nothing`, { timeout: 240_000 }, async (context) => {
      const { deaths, step, effects } = await played(pointOf(asked as string))
      context.diagnostic(`${effects} effects; it died during «${step}», at: ${deaths.join('; ')}`)
    })
  } else {
    test('fault 18, fault 24, fault 25 [D03 H13 H14 E09]: a server of real guests ended by SIGKILL right before or after an effect or a commit loses nothing and leaks nothing', { timeout: 14_000_000 }, async (context) => {
      const { effects } = await played({ scenario: 'qemu', fates: [] })
      const points = pointsOf('qemu', effects)
      const all = await sweep(soak ? points : sample(points, 2), { file: import.meta.filename, players: [{ ask: played }, { ask: played }], mayLive: true })
      context.diagnostic(`of ${points.length}: ${summary(all)}`)
      assert.ok(all.filter(({ lived }) => lived).length <= Math.max(1, all.length / 4), 'most of them died where they were to')
    })
  }
})
