import { closeSync, constants, openSync, readFileSync, statSync } from 'node:fs'
import type { Cgroups } from '../../../base/cgroups.ts'
import type { Effects } from '../../../base/effects.ts'
import { isMissing } from '../../../base/files.ts'
import { processOf, spawnDetached } from '../../../base/processes.ts'
import type { Plan } from '../../../model/plan.ts'
import { argv, type Machine, translationMb } from './argv.ts'
import type { CheckedPlan } from './check.ts'
import { type Found, guestName, type Record } from './record.ts'

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

/** Makes everything a guest needs and starts it: three effects. Undoing a start that failed is the caller's. */
export function launch(checked: CheckedPlan, to: { record: Record; mark: string; cookie: string; cgroups: Cgroups | undefined; effects: Effects; launch: Launch; prepare?: () => void }) {
  const { plan } = checked
  const { record, mark, cookie, effects, launch: host } = to
  effects.act({ kind: 'file', verb: 'make', subject: record.dir }, () => {
    record.prepare(checked)
    to.prepare?.()
  })
  const groups = to.cgroups?.make(plan.id, limitsOf(checked, host.accel)) ?? []
  const name = guestName(mark, plan.id, cookie)
  const qemu = argv(checked, { accel: host.accel, tscKhz: host.tscKhz, name, blockDevices: blockDevicesOf(plan) })
  const user = plan.uid === undefined ? [] : ['--uid', String(plan.uid), '--gid', String(host.kvmGid ?? plan.uid)]
  const before = ['--dir', record.dir, '--pid-file', record.pidFile, '--cookie', cookie, '--nofile', String(openFiles), '--oom-score-adj', String(oomScoreAdj)]
  const child = effects.act({ kind: 'process', verb: 'make', subject: name }, () => {
    const outputFd = openSync(record.output, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND, 0o600)
    try {
      return spawnDetached([host.launcher, ...groups.flatMap((dir) => ['--cgroup', dir]), ...before, ...user, '--', host.binary, ...qemu], { env: programEnv, outputFd })
    } finally {
      closeSync(outputFd)
    }
  })
  const found: Found | undefined = child.pid === undefined ? undefined : { ...(processOf(child.pid) ?? { pid: child.pid, startTime: -1 }), sinceMs: 0 }
  return { found, ended: child.ended }
}

function limitsOf({ plan, options }: CheckedPlan, accel: Machine['accel']) {
  const memoryMb = plan.memMb + overheadMb + (accel === 'tcg' ? translationMb : 0) + (options.vnc ? screenMb : 0)
  // Beside one thread for each processor QEMU has a pool of up to 64 for its disks, and a few more.
  return { cpu: plan.cpu, memoryBytes: memoryMb * 2 ** 20, pids: plan.cpu + 80 }
}

function blockDevicesOf({ disks }: Plan): Set<string> {
  const isDevice = (path: string) => statSync(path, { throwIfNoEntry: false })?.isBlockDevice() ?? false
  return new Set(disks.map(({ path }) => path).filter(isDevice))
}

/** What QEMU said last, without its name in front; at most 3 lines and 600 characters. */
export function lastWords(record: Record): string {
  try {
    const lines = readFileSync(record.output, 'utf8').split('\n').filter((line) => line.trim() !== '')
    return lines.slice(-3).map((line) => line.replace(/^qemu-system-\S+: /, '')).join('; ').slice(-600)
  } catch (fault) {
    if (isMissing(fault)) return ''
    throw fault
  }
}
