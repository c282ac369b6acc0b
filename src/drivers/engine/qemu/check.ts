import { isIPv4 } from 'node:net'
import { fail } from '../../../model/errors.ts'
import { parseVmId, shown } from '../../../model/names.ts'
import type { Nic, Plan } from '../../../model/plan.ts'
import { type Board, boardOf } from './archs.ts'
import { type ImageOptions, imageOptions } from './options.ts'

/** A plan of which every text is known to be safe in QEMU's arguments, with its options. */
export interface CheckedPlan {
  plan: Plan
  options: ImageOptions
  /** Of a processor that is no x86. */
  board?: Board
}

/**
 * Places for virtio devices. A microvm has one for each input of its interrupt controllers, of which the second comes with ACPI. QEMU gives
 * that one's input 0 on as input 2, so a device in the last place it would fill is never heard: `ioapic_set_irq` in its hw/intc/ioapic.c, seen
 * with 7.2.
 */
const placesOf = ({ machine, parts }: ImageOptions): number => (machine === 'q35' ? 26 : parts.acpi === false ? 8 : 23)

/** Refuses a plan this engine cannot run, before anything is done. */
export function checked(plan: Plan): CheckedPlan {
  const about = { subject: `vm/${plan.id}` }
  const need = (holds: boolean, why: string) => holds || fail('invalid', why, about)
  need(parseVmId(plan.id) !== undefined, `${shown(plan.id)} is no id of a VM`)
  need(/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(plan.hostname), `${shown(plan.hostname)} is no host name`)
  need(inRange(plan.cpu, 1, 255), `a VM of this engine has 1 to 255 processors, not ${plan.cpu}`)
  need(inRange(plan.memMb, 1, 1 << 24), `${plan.memMb} MB is no size for memory`)
  need(plan.uid === undefined || inRange(plan.uid, 1, 2 ** 31 - 1), `${plan.uid} is no user a VM may run as`)
  if (plan.from) fail('unsupported', 'this engine cannot start a VM from a saved state', about)

  if (plan.boot === 'kernel') need(plan.files.kernel !== undefined, 'the image boots by a kernel and has none')
  else need(plan.disks.length > 0, 'the image boots by a disk and the VM has none')
  for (const path of [plan.files.kernel, plan.files.initrd, ...plan.disks.map((disk) => disk.path)])
    need(path === undefined || /^\/[^\0\n]*$/.test(path), `${shown(path ?? '')} is no absolute path`)
  need(/^[\x20-\x7e]*$/.test(plan.cmdline ?? ''), 'the kernel command line is more than one line of ASCII')

  need(plan.ports.every((name) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)), 'the name of a port has letters, digits, ".", "_" and "-"')
  need(new Set(plan.ports).size === plan.ports.length && plan.ports.length <= 30, 'ports have different names and are 30 at most')
  for (const nic of plan.nics) checkNic(nic, need)
  if (plan.seed) checkSeed(plan.seed, need)

  const options = imageOptions(plan)
  const board = boardOf(plan.arch)
  if (board) checkBoard(plan, board)
  const places = board?.places ?? placesOf(options)
  const offered = board?.suffix === 'ccw' ? unwindowed(plan) : plan
  const own = 2 + (offered.seed ? 1 : 0) + (offered.window ? 1 : 0)
  need(plan.disks.length + plan.nics.length + own <= places, `the machine takes ${places - own} disks and network cards at most`)
  return { plan: offered, options, ...(board ? { board } : {}) }
}

/** A kernel for s390x finds its devices all at once: with a disk more, the one it is to start from might be called the second. */
const unwindowed = (plan: Plan): Plan => ({ ...plan, window: false })

function checkBoard({ id, arch, boot, cpu, memMb, disks, ports, seed, window }: Plan, { machine, suffix, cpuMax, memMinMb, memMaxMb }: Board): void {
  const about = { subject: `vm/${id}` }
  const need = (holds: boolean, why: string) => holds || fail('invalid', `${why}: it is a QEMU ${machine.replace(/,.*/, '')}`, about)
  if (boot === 'disk') fail('unsupported', `a VM of ${arch} starts from a kernel here: for a disk there is no firmware`, about)
  need(cpu <= cpuMax, `a VM of ${arch} has ${cpuMax === 1 ? '1 processor' : `1 to ${cpuMax} processors`}, not ${cpu}`)
  need(memMb >= memMinMb && memMb <= memMaxMb, `a VM of ${arch} has ${memMinMb} to ${memMaxMb} MB of memory, not ${memMb}`)
  need(suffix !== undefined || (disks.length === 0 && ports.length === 0 && seed === undefined && !window), `a VM of ${arch} takes no disk and no agent`)
}

/** The disk QEMU makes of a directory has 504 MiB, of which guests are to read a few files. */
const seedBytesMax = 1 << 20

function checkSeed(seed: Record<string, string>, need: (holds: boolean, why: string) => unknown): void {
  const names = Object.keys(seed)
  need(names.length > 0 && names.length <= 16 && names.every((name) => /^[a-z][a-z0-9-]{0,63}$/.test(name)), 'a seed has 1 to 16 files, whose names have small letters, digits and "-"')
  need(names.reduce((sum, name) => sum + Buffer.byteLength(seed[name] ?? ''), 0) <= seedBytesMax, 'the files of a seed have 1 MiB together at most')
}

function checkNic(nic: Nic, need: (holds: boolean, why: string) => unknown): void {
  if (nic.kind === 'none') return
  need(/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(nic.mac), `${shown(nic.mac)} is no MAC address`)
  need(isIPv4(nic.ip) && isIPv4(nic.gateway), 'a network card has an IPv4 address and a gateway')
  need(inRange(nic.prefixLength, 1, 31), `/${nic.prefixLength} is no network prefix`)
  need(nic.mtu === undefined || inRange(nic.mtu, 576, 65_535), `${nic.mtu} is no MTU`)
  if (nic.kind === 'tap') return void need(/^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/.test(nic.tap), `${shown(nic.tap)} is no interface`)
  need(isIPv4(nic.bind), 'public ports of a user-mode network card are bound to an IPv4 address')
  for (const [inner, outer] of Object.entries(nic.ports)) need(inRange(Number(inner), 1, 65_535) && inRange(outer, 1, 65_535), `${inner}:${outer} are no ports`)
}

const inRange = (value: number, least: number, most: number) => Number.isInteger(value) && value >= least && value <= most
