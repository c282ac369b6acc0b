import { accessSync, constants, statSync } from 'node:fs'
import type { Log } from '../../../base/log.ts'
import { run, runOk } from '../../../base/run.ts'
import { type Launch, programEnv } from './launch.ts'
import type { Settings } from './settings.ts'

/** What was found out about this machine, once for the life of the process. */
export type Host = { usable: true; version: string; launch: Launch; /** Whether guests get cgroups. */ limits: boolean; /** What it could do better. */ whyNotKvm?: string; whyNoLimits?: string } | { usable: false; why: string }

export interface Trials {
  /** Boots the test guest; rejects with the reason if it does not come up in time. */
  boot(launch: Launch, limitMs: number): Promise<void>
  /** Why guests cannot have cgroups; undefined if they can. */
  cgroups(): Promise<string | undefined>
}

const oldestMajor = 7
const kvmLimitMs = 2000
/** Emulation on a busy machine is slow, and nothing is left to fall back to. */
const tcgLimitMs = 10_000
const found = new Map<string, Promise<Host>>()

/** Finds out whether QEMU works here and with which accelerator, by booting a guest. Asked again it gives the same answer at once. */
export function host(settings: Settings, trials: Trials, log: Log): Promise<Host> {
  const key = JSON.stringify([settings.binary, settings.launcher, settings.demoOs, settings.accel])
  const known = found.get(key)
  if (known) return known
  const finding = look(settings, trials, log).catch((fault: unknown): Host => ({ usable: false, why: reasonOf(fault) }))
  found.set(key, finding)
  return finding
}

async function look({ binary, launcher, demoOs, accel }: Settings, trials: Trials, log: Log): Promise<Host> {
  const lacks = [missing(launcher, constants.X_OK, 'the launcher'), missing(demoOs, constants.R_OK, 'the test guest')].find((why) => why !== undefined)
  if (lacks !== undefined) return { usable: false, why: lacks }
  const [version, tscKhz] = await Promise.all([versionOf(binary), tscKhzOf(launcher)])
  if (Number.parseInt(version, 10) < oldestMajor) return { usable: false, why: `QEMU ${version} is too old: ${oldestMajor} is the oldest that will do` }

  const tcg: Launch = { binary, launcher, accel: 'tcg', tscKhz }
  const kvm: Launch = { ...tcg, accel: 'kvm', kvmGid: kvmGroup() }
  const whyNoLimits = await trials.cgroups()
  if (whyNoLimits !== undefined) log.warn('VMs have no limits of processor, memory and threads on this machine', { why: whyNoLimits })
  const limits = whyNoLimits === undefined
  if (accel !== 'tcg') {
    const whyNotKvm = await kvmFault(kvm, trials)
    if (whyNotKvm === undefined) return { usable: true, version, launch: kvm, limits, whyNoLimits }
    if (accel === 'kvm') return { usable: false, why: `KVM does not work here: ${whyNotKvm}` }
    log.info('KVM does not work here: VMs are emulated, and slower', { why: whyNotKvm })
    await trials.boot(tcg, tcgLimitMs)
    return { usable: true, version, launch: tcg, limits, whyNotKvm, whyNoLimits }
  }
  await trials.boot(tcg, tcgLimitMs)
  return { usable: true, version, launch: tcg, limits, whyNoLimits }
}

/** Why no guest comes up with KVM. The device alone says nothing: it may open, and make VMs, and yet run no kernel. */
async function kvmFault(launch: Launch, trials: Trials): Promise<string | undefined> {
  const lacks = missing('/dev/kvm', constants.R_OK | constants.W_OK, 'the device')
  if (lacks !== undefined) return lacks
  try {
    await trials.boot(launch, kvmLimitMs)
    return undefined
  } catch (fault) {
    return reasonOf(fault)
  }
}

/** Where a group may open the device and not everybody: that group. */
function kvmGroup(): number | undefined {
  const device = statSync('/dev/kvm', { throwIfNoEntry: false })
  return device && (device.mode & 0o066) === 0o060 ? device.gid : undefined
}

async function versionOf(binary: string): Promise<string> {
  const { code, stdout } = await run([binary, '--version'], { env: programEnv, timeoutMs: 5000 }).catch((fault: unknown) => {
    throw new Error(`${binary} cannot be run: ${reasonOf(fault)}; on Debian: apt-get install qemu-system-x86`)
  })
  return /version (\d+\.\d+(?:\.\d+)?)/.exec(stdout)?.[1] ?? Promise.reject(new Error(`${binary} --version gives no version, status ${code}`))
}

async function tscKhzOf(launcher: string): Promise<number> {
  const khz = Number(await runOk([launcher, '--tsc-khz'], { env: programEnv, timeoutMs: 5000 }))
  return khz >= 100_000 && khz <= 20_000_000 ? khz : Promise.reject(new Error(`a time stamp counter of ${khz} kHz cannot be`))
}

function missing(path: string, mode: number, what: string): string | undefined {
  try {
    accessSync(path, mode)
    return undefined
  } catch (fault) {
    return `${what} cannot be used: ${reasonOf(fault)}`
  }
}

const reasonOf = (fault: unknown) => (fault instanceof Error ? fault.message : String(fault))
