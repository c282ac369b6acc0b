import { fail } from '../../model/errors.ts'
import type { EngineFact } from '../../model/host.ts'
import { agentOf } from './cloud-features.ts'
import { type Feature, moreDiskMb, moreMemoryMb, ran, skip, type Stage } from './stage.ts'

/** What is seen from inside a guest, in plain busybox sh. */
export const guestFeatures: readonly Feature[] = [
  {
    name: 'exec',
    about: 'commands run in guests, with both outputs and their status',
    async run(stage) {
      agentOf(stage)
      const [first] = await stage.vms(await stage.main())
      const { code, out, err } = await ran(stage, first?.name ?? '', 'echo "a  b"; echo c >&2; exit 3')
      if (code !== 3 || out !== 'a  b\n' || err !== 'c\n') fail('failed', `a command gave ${JSON.stringify({ code, out, err }).slice(0, 200)}`)
    },
  },
  {
    name: 'cpu',
    about: 'a guest has the processors that were asked for',
    async run(stage) {
      const vm = await realVm(stage)
      const count = Number(await stage.sh(vm, 'grep -c ^processor /proc/cpuinfo'))
      if (count !== 2) fail('failed', `2 cpus were asked for, the guest has ${count}`)
    },
  },
  {
    name: 'memory',
    about: 'a guest has the memory that was asked for',
    async run(stage) {
      const vm = await realVm(stage)
      const asked = stage.image.spec.memMb + moreMemoryMb
      const hasMb = Number(await stage.sh(vm, "sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")) / 1024
      // The kernel keeps some for itself, more of it the less there is.
      if (!(hasMb <= asked && hasMb > asked * 0.6)) fail('failed', `${asked} MB were asked for, the guest has ${Math.round(hasMb)} MB`)
    },
  },
  {
    name: 'disk',
    about: 'a guest has a disk as large as was asked for, and can use it',
    async run(stage) {
      const vm = await realVm(stage)
      if (stage.image.spec.diskMb === 0) skip(`${stage.image.name} has no disk`)
      const asked = stage.image.spec.diskMb + moreDiskMb
      const hasMb = Number(await stage.sh(vm, 'for d in vda sda; do [ ! -f /sys/block/$d/size ] || cat /sys/block/$d/size; done | head -n 1')) / 2048
      if (hasMb !== asked) fail('failed', `${asked} MB were asked for, the guest has ${hasMb} MB`)
      const free = Number(await stage.sh(vm, "df -m / | awk 'END { print $(NF - 4) }'"))
      if (!(free > stage.image.spec.diskMb / 2)) fail('failed', `the file system of the guest has ${free} MB, its disk ${hasMb} MB`)
    },
  },
  {
    name: 'stop-start',
    about: 'an ENV is halted and started again',
    run: (stage) => restarted(stage),
  },
  {
    name: 'data',
    about: 'what a guest wrote is there after it was stopped and started',
    async run(stage) {
      const vm = await realVm(stage)
      if (stage.image.spec.diskMb === 0) skip(`${stage.image.name} has no disk`)
      await restarted(stage)
      const kept = await stage.sh(vm, `cat ${keptFile}`)
      if (kept.trim() !== stage.name) fail('failed', `the file holds ${JSON.stringify(kept.slice(0, 80))}`)
    },
  },
]

const keptFile = '/root/tt-selftest'
const restarts = new WeakMap<Stage, Promise<void>>()

/** Stops and starts the first ENV, once for all features that look at what that does; where there is a disk, something is written on it before. */
function restarted(stage: Stage): Promise<void> {
  const known = restarts.get(stage) ?? restart(stage)
  restarts.set(stage, known)
  return known
}

async function restart(stage: Stage): Promise<void> {
  const env = await stage.main()
  const [first] = await stage.vms(env)
  const real = stage.image.spec.ways.length > 0 && (await simulator(stage)) === undefined && stage.image.spec.diskMb > 0
  if (real) await stage.sh(first?.name ?? '', `echo ${stage.name} > ${keptFile} && sync`)
  await stage.change(env.name, { stopped: true })
  await stage.until(async () => (await stage.vms(env)).every(({ status }) => status?.state === 'stopped'), 'the halt of its VMs')
  await stage.change(env.name, { stopped: false })
  await stage.until(async () => (await stage.vms(env)).every(({ status }) => status?.state === 'ready'), 'the start of its VMs')
}

/** The first VM; skips where no command can be run in it, or where there is nothing real in it to look at. */
export async function realVm(stage: Stage): Promise<string> {
  agentOf(stage)
  const [first] = await stage.vms(await stage.main())
  const engine = await simulator(stage)
  if (engine !== undefined) skip(`the engine ${engine} only simulates guests`)
  return first?.name ?? fail('failed', 'the ENV has no VM')
}

/** The engine of the first VM if its guests are not there. */
async function simulator(stage: Stage): Promise<string | undefined> {
  const [first] = await stage.vms(await stage.main())
  if (!first) return undefined
  const { engines } = await stage.hostOf(first)
  const engine: EngineFact | undefined = engines.find(({ name }) => name === first.spec.engine)
  return engine?.features['simulated'] === true ? engine.name : undefined
}
