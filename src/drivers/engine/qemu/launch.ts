import { closeSync, constants, openSync, statSync } from 'node:fs'
import type { Cgroups } from '../../../base/cgroups.ts'
import type { Effects } from '../../../base/effects.ts'
import { processOf, spawnDetached } from '../../../base/processes.ts'
import type { Plan } from '../../../model/plan.ts'
import { argv, type Machine, translationMb } from './argv.ts'
import type { CheckedPlan } from './check.ts'
import { type Found, guestName, type GuestDir } from './guest-dir.ts'
import { readLog } from './serial-log.ts'

/** How this host starts a QEMU. */
export interface Launch {
  binary: string
  launcher: string
  accel: Machine['accel']
  tscKhz: number
  /** The group that may open `/dev/kvm`, where it takes one. */
  kvmGid?: number
}

/** Programs are found here and nowhere else, whatever the server was started with. */
export const programEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

const openFiles = 4096
/** Guests go before the server does when the machine's memory runs out. */
const oomScoreAdj = 300
/** What QEMU takes beside the guest's memory and the translated code: measured at up to 90 MB with small guests. */
const overheadMb = 96
const screenMb = 32
/** The kernel counts the pages in which it keeps a guest's disk as the guest's own. They go when anybody needs them; without room for them every read would be one of the disk. */
const pageCacheMb = 256
/** Processors' worth of time for QEMU's own threads, those of its disks above all: taken from the guest's own, a busy disk is a fifth slower. */
const overheadCpu = 0.5

/** Makes everything a guest needs and starts it: three effects. Undoing a start that failed is the caller's. */
export function launch(checked: CheckedPlan, to: { at: GuestDir; mark: string; cookie: string; cgroups: Cgroups | undefined; effects: Effects; launch: Launch; prepare?: () => void }) {
  const { plan } = checked
  const { at, mark, cookie, effects, launch: host } = to
  effects.act({ kind: 'file', verb: 'make', subject: at.dir }, () => {
    at.prepare(checked)
    to.prepare?.()
  })
  const groups = to.cgroups?.make(plan.id, limitsOf(checked, host.accel)) ?? []
  const name = guestName(mark, plan.id, cookie)
  const qemu = argv(checked, { accel: host.accel, tscKhz: host.tscKhz, name, blockDevices: blockDevicesOf(plan) })
  const user = plan.uid === undefined ? [] : ['--uid', String(plan.uid), '--gid', String(host.kvmGid ?? plan.uid)]
  const taps = plan.nics.flatMap((nic) => (nic.kind === 'tap' ? ['--tap', nic.tap] : []))
  const before = ['--dir', at.dir, '--pid-file', at.pidFile, '--cookie', cookie, '--nofile', String(openFiles), '--oom-score-adj', String(oomScoreAdj), ...taps]
  const child = effects.act({ kind: 'process', verb: 'make', subject: name }, () => {
    const outputFd = openSync(at.output, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND, 0o600)
    try {
      return spawnDetached([host.launcher, ...groups.flatMap((dir) => ['--cgroup', dir]), ...before, ...user, '--', host.binary, ...qemu], { env: programEnv, outputFd })
    } finally {
      closeSync(outputFd)
    }
  })
  const found: Found | undefined = child.pid === undefined ? undefined : { ...(processOf(child.pid) ?? { pid: child.pid, startTime: -1 }), sinceMs: 0 }
  return { found, ended: child.ended, fault: child.fault }
}

function limitsOf({ plan, options }: CheckedPlan, accel: Machine['accel']) {
  const memoryMb = plan.memMb + overheadMb + pageCacheMb + (accel === 'tcg' ? translationMb : 0) + (options.vnc ? screenMb : 0)
  // Beside one thread for each processor QEMU has a pool of up to 64 for its disks, and a few more.
  return { cpu: plan.cpu + overheadCpu, weight: plan.cpu, memoryBytes: memoryMb * 2 ** 20, pids: plan.cpu + 80 }
}

function blockDevicesOf({ disks }: Plan): Set<string> {
  const isDevice = (path: string) => statSync(path, { throwIfNoEntry: false })?.isBlockDevice() ?? false
  return new Set(disks.map(({ path }) => path).filter(isDevice))
}

/** Whether the kernel ended this guest for want of memory: a process that was killed says nothing of why, and the kernel counts. */
export function outOfMemory(at: GuestDir, cgroups: Cgroups | undefined): string | undefined {
  return (cgroups?.oomKills(at.id) ?? 0) > 0 ? 'it was killed by the kernel: out of memory' : undefined
}

/** What QEMU said last, without its name in front: at most 3 lines and 600 characters. */
export function lastWords(at: GuestDir): string {
  const text = Buffer.from(readLog(at.output, 4096) ?? []).toString()
  const lines = text.split('\n').map((line) => line.replace(/^qemu-system-\S+: /, '').replace(/[^\x20-\x7e]+/g, ' '))
  return lines.filter((line) => line.trim() !== '').slice(-3).join('; ').slice(-600)
}
