import { agentPort, qgaPort } from '../drivers/channel/channel.ts'
import type { Disk, Nic, Plan } from '../model/plan.ts'
import type { VmSpec } from '../model/vm.ts'
import { hostnameOf } from './guest-identity.ts'
import type { FoundImage } from './images.ts'

/** A VM as an engine is to run it. Pure. */
export function planOf(vm: VmSpec, parts: { image: FoundImage; disk?: Disk; nic: Nic; uid?: number; seed?: Record<string, string> }): Plan {
  const { image, disk, nic, uid, seed } = parts
  return {
    id: vm.id,
    hostname: hostnameOf(vm),
    cpu: vm.cpu,
    memMb: vm.memMb,
    arch: image.spec.arch,
    boot: image.boot,
    files: image.files,
    ...(image.cmdline === undefined ? {} : { cmdline: image.cmdline }),
    disks: disk ? [disk] : [],
    nics: [nic],
    ...(seed ? { seed } : {}),
    ports: image.spec.ways.flatMap((way) => (way === 'rexec' ? [agentPort] : way === 'qga' ? [qgaPort] : [])),
    ...(image.spec.ways.includes('rexec') ? { window: true } : {}),
    ...(uid === undefined ? {} : { uid }),
    options: image.options,
  }
}
