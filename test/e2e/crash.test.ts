import assert from 'node:assert/strict'
import { test } from 'node:test'
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
  const waits = soak ? Array.from({ length: 40 }, (_, at) => at * 75) : [150, 900]
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
  const points = soak ? Array.from({ length: 60 }, (_, at) => at + 1) : [3, 9, 14]
  for (const point of points) {
    for (const side of ['before', 'after']) {
      test(`a server killed ${side} effect ${point} leaves nothing that is not found again`, { timeout: 120_000 }, async () => {
        await using server = serverGround()
        const crashing = server.launch({ TT_CRASH_AT: `${point}:${side}` })
        for (let tries = 0; tries < 200 && crashing.signalCode === null; tries++) {
          const added = await server.tt('env', 'add', 'five', '-s', 'demo-os', '-d', '1', '--no-wait')
          if (added.code === 0) await Promise.race([server.gone(), sleep(1500)])
          else if (crashing.signalCode === null) await sleep(50)
          if (added.code === 0) break
        }
        await server.stop('SIGKILL')
        await server.start()
        const env = await settled(server, 'five')
        if (env) assert.ok(env.phase === 'ready', server.log().slice(-3000))
        await cleanAfterwards(server)
      })
    }
  }
})
