import { cgroups as groupsOf } from '../../../base/cgroups.ts'
import { fail } from '../../../model/errors.ts'
import { parseVmId } from '../../../model/names.ts'
import type { Engine, EngineFactory, EngineFeatures } from '../engine.ts'
import { type Emulators, emulators } from './archs.ts'
import { checked, type CheckedPlan } from './check.ts'
import { ending as endingOf } from './ending.ts'
import type { Guest } from './guest.ts'
import { holder } from './holder.ts'
import { lastWords, type Launch, outOfMemory } from './launch.ts'
import { findings } from './findings.ts'
import { clean, leaks } from './leaks.ts'
import { host, type Trials } from './machine.ts'
import { guestDir, knownIds } from './guest-dir.ts'
import { readLog } from './serial-log.ts'
import { settingsOf } from './settings.ts'
import { starting } from './starting.ts'
import { putKernel, trialId, trialPlan, untilItPrints } from './trial.ts'

/** Virtual machines by QEMU: a microvm for a kernel, a q35 for a disk; KVM if a guest really runs with it, emulation if not. See docs/engines/qemu.md. */
export const qemu: EngineFactory = async (home, options): Promise<Engine> => {
  const { world, log } = home
  const settings = settingsOf(options)
  const isRoot = process.getuid?.() === 0
  const cgroups = isRoot ? groupsOf(home) : undefined
  const guests = await holder(home, settings.serialKeepBytes)
  const ending = endingOf({ home, guests, cgroups })
  const boot = starting({ home, guests, ending })
  const here = emulators(settings.emulators, () => world.ticks())
  const features: EngineFeatures = {
    accel: 'tcg',
    limits: 'cgroups',
    ...fixedFeatures,
    get archs() {
      return here.archs()
    },
    get lacks() {
      return here.lacks()
    },
  }

  const trials: Trials = {
    async boot(launch, limitMs) {
      const at = guestDir(home, trialId)
      await ending.destroy(trialId)
      try {
        await boot(trialPlan(isRoot), { launch, cgroups: undefined, prepare: () => putKernel(at, settings.demoOs) })
        await untilItPrints(at, { world, limitMs, failure: () => (guests.get(trialId) ? undefined : lastWords(at) || (guests.exitOf(trialId) ?? 'the test guest ended by itself')) })
      } finally {
        await ending.destroy(trialId)
      }
    },
    async cgroups() {
      if (!cgroups) return 'the server is not root'
      const tried = await cgroups.usable()
      return tried.usable ? undefined : tried.why
    },
  }
  const machine = async () => {
    const known = await host(settings, trials, log)
    if (!known.usable) return known
    features.accel = known.launch.accel
    features.limits = known.limits ? 'cgroups' : `none: ${known.whyNoLimits}`
    return known
  }
  const exists = (id: string) => parseVmId(id) !== undefined && guestDir(home, id).exists()
  const running = (id: string): Guest => {
    if (!exists(id)) fail('not_found', 'there is no such VM', { subject: `vm/${id}` })
    return guests.get(id) ?? fail('not_ready', 'the VM does not run', { subject: `vm/${id}` })
  }

  const exitOf = (id: string): string | undefined => {
    const at = guestDir(home, id)
    return outOfMemory(at, cgroups) ?? guests.exitOf(id) ?? (lastWords(at) || undefined)
  }

  return {
    features,
    async probe() {
      const known = await machine()
      return known.usable ? { usable: true, version: known.version } : known
    },
    async start(plan, call) {
      call?.signal?.throwIfAborted()
      const about = { subject: `vm/${plan.id}` }
      const sound = checked(plan)
      if (isRoot && plan.uid === undefined) fail('invalid', 'a server that is root starts no VM as root: the plan names no user for it', about)
      if (!isRoot && plan.uid !== undefined) fail('invalid', 'a server that is not root cannot start a VM as another user', about)
      const known = await machine()
      if (!known.usable) return fail('unavailable', `QEMU is not usable here: ${known.why}`, about)
      await boot(sound, { launch: { ...known.launch, ...emulatorFor(sound, here) }, cgroups: known.limits ? cgroups : undefined }, call)
    },
    stop: ending.stop,
    destroy: ending.destroy,
    async inspect(id) {
      if (!exists(id)) return { state: 'absent' }
      const guest = guests.get(id)
      if (!guest) return { state: 'stopped', exit: exitOf(id) }
      if (guest.paused && guest.trouble === undefined) return { state: 'paused' }
      const { pid, sinceMs } = guestDir(home, id).process() ?? guest.process
      return { state: 'running', since: new Date(sinceMs).toISOString(), pid, ...(guest.trouble === undefined ? {} : { trouble: guest.trouble }) }
    },
    list: async () => knownIds(home.dir),
    watch: guests.watch,
    dial: async (id, portName) => running(id).dial(portName),
    window: async (id) => (running(id), guestDir(home, id).window()),
    console: async (id) => running(id).console(),
    screen: async (id) => running(id).screen(),
    async logs(id, { limitBytes = settings.serialKeepBytes } = {}) {
      if (!exists(id)) fail('not_found', 'there is no such VM', { subject: `vm/${id}` })
      return readLog(guestDir(home, id).serialLog, limitBytes) ?? new Uint8Array()
    },
    pause: (id) => running(id).pause(),
    resume: async (id) => void (await running(id).execute('cont')),
    leaks: async (owned) => leaks(home, cgroups, owned),
    clean: async (owned) => clean(home, cgroups, owned),
    async findings(owned) {
      const known = await machine()
      const running = [...owned].filter((id) => guests.get(id))
      return findings(known, { accel: settings.accel, isRoot, cgroups: known.usable && known.limits ? cgroups : undefined, running })
    },
    [Symbol.asyncDispose]: () => guests[Symbol.asyncDispose](),
  }
}

/** KVM runs guests of the host's own processor only. */
function emulatorFor({ plan, board }: CheckedPlan, here: Emulators): Partial<Launch> {
  if (!board) return {}
  const binary = here.program(plan.arch)
  if (binary === undefined) fail('unsupported', `there is no emulator for ${plan.arch} on this host`, { subject: `vm/${plan.id}`, remedy: `apt-get install ${board.debianPackage}` })
  return { binary, accel: 'tcg', kvmGid: undefined }
}

const fixedFeatures = {
  boots: ['kernel', 'disk'],
  nics: ['tap', 'user', 'none'],
  dial: true,
  window: true,
  console: true,
  logs: true,
  screen: true,
  channel: false,
  pause: true,
  save: false,
  replaceDisk: false,
} as const
