import { join } from 'node:path'
import { type Cgroups, machineLayout } from '../../../base/cgroups.ts'
import { readTextNow } from '../../../base/files.ts'
import type { Finding } from '../../../model/session.ts'
import type { Host } from './machine.ts'

/** What the probe found out about this machine, and whether the limits of the guests hold, for the doctor. */
export function findings(host: Host, { accel, isRoot, cgroups, running }: { accel: 'auto' | 'kvm' | 'tcg'; isRoot: boolean; cgroups: Cgroups | undefined; running: readonly string[] }): Finding[] {
  if (!host.usable) return [{ check: 'engine', state: 'bad', message: `QEMU does not work any more: ${host.why}`, remedy: 'put that right and start the server again' }]
  return [{ check: 'engine', state: 'good', message: `QEMU ${host.version} runs a test guest` }, kvm(host, accel), limits(host, isRoot, cgroups), ...unlimited(cgroups, running)]
}

function kvm({ launch, whyNotKvm = '' }: Host & { usable: true }, accel: string): Finding {
  if (launch.accel === 'kvm') return { check: 'kvm', state: 'good', message: 'a guest really runs with it' }
  if (accel === 'tcg') return { check: 'kvm', state: 'good', message: 'not used: this server was told to emulate' }
  const remedy = /ENOENT/.test(whyNotKvm)
    ? 'turn virtualisation on in the firmware and load kvm_intel or kvm_amd; inside another VM, allow nested virtualisation there'
    : /EACCES|EPERM|Permission denied/.test(whyNotKvm)
      ? 'let the user of the server open /dev/kvm, usually by the group kvm'
      : 'it is there and runs no guest, as in many clouds: allow nested virtualisation on the machine below this one'
  return { check: 'kvm', state: 'poor', message: `guests are emulated, and several times slower: ${whyNotKvm}`, remedy }
}

function limits({ whyNoLimits }: Host & { usable: true }, isRoot: boolean, cgroups: Cgroups | undefined): Finding {
  if (whyNoLimits === undefined) return { check: 'cgroups', state: 'good', message: `${layoutWords()}; every guest has limits of processor, memory and threads` }
  const message = `guests have no limits of processor, memory and threads: ${whyNoLimits}`
  if (!isRoot || !cgroups) return { check: 'cgroups', state: 'poor', message, remedy: 'run the server as root' }
  return { check: 'cgroups', state: 'bad', message, remedy: 'mount the cgroup file systems with the controllers cpu, memory and pids where the server may write, and start it again' }
}

function layoutWords(): string {
  const { v1, v2 } = machineLayout()
  const names = v1.flatMap(({ controllers }) => controllers)
  return [names.length > 0 ? `cgroup v1 (${names.join(', ')})` : '', v2 ? `cgroup v2 (${v2.controllers.join(', ')})` : ''].filter(Boolean).join(' and ')
}

/** Where each limit of a group stands, and what stands there for none: v1 has a number larger than any machine. */
const limitFiles = ['cpu.cfs_quota_us', 'memory.limit_in_bytes', 'cpu.max', 'memory.max', 'pids.max']
const isNone = (text: string) => /^(max|-1)\b/.test(text) || Number(text.trim()) > 2 ** 60

/** Guests whose group is gone or limits nothing: somebody else changed them. */
function unlimited(cgroups: Cgroups | undefined, running: readonly string[]): Finding[] {
  if (!cgroups || running.length === 0) return []
  const bad = running.flatMap((id) => {
    const texts = cgroups.dirs(id).flatMap((dir) => limitFiles.flatMap((file) => readTextNow(join(dir, file)) ?? []))
    return texts.length === 0 ? [`${id} is in no group`] : texts.some(isNone) ? [`${id} lacks a limit`] : []
  })
  if (bad.length === 0) return [{ check: 'cgroups', state: 'good', message: `the limits of all ${running.length} running guests are in force` }]
  return [{ check: 'cgroups', state: 'bad', message: `${bad.length} of ${running.length} running guests are not limited: ${bad.slice(0, 5).join(', ')}`, remedy: 'stop and start their ENVs: limits are set with each start' }]
}
