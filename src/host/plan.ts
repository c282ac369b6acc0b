import { agentPort, qgaPort } from '../drivers/channel/channel.ts'
import type { Disk, Nic, Plan } from '../model/plan.ts'
import type { VmSpec } from '../model/vm.ts'
import type { FoundImage } from './images.ts'

/** A VM as an engine is to run it. Pure. */
export function planOf(vm: VmSpec, parts: { image: FoundImage; disk?: Disk; nic: Nic; uid?: number }): Plan {
  const { image, disk, nic, uid } = parts
  return {
    id: vm.id,
    hostname: `${vm.env}-${vm.index}`.replaceAll('_', '-').slice(0, 63),
    cpu: vm.cpu,
    memMb: vm.memMb,
    arch: image.spec.arch,
    boot: image.boot,
    files: image.files,
    ...(image.cmdline === undefined ? {} : { cmdline: image.cmdline }),
    disks: disk ? [disk] : [],
    nics: [nic],
    ports: image.spec.ways.flatMap((way) => (way === 'rexec' ? [agentPort] : way === 'qga' ? [qgaPort] : [])),
    ...(uid === undefined ? {} : { uid }),
    options: image.options,
  }
}
