import { statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Arch, archs } from '../../../model/image.ts'

/** The machine QEMU plays for a processor that is not the x86 of `options.machine`. All were booted, see docs/platforms.md. */
export interface Board {
  /** The emulator, looked up in the system's directories. */
  emulator: string
  /** The Debian package it is in. */
  debianPackage: string
  machine: string
  cpuModel: string
  /** What stands behind `virtio-blk` and its like; without it the board takes no virtio device. */
  suffix?: 'pci' | 'ccw'
  /** Where Linux prints what the serial line shows. */
  console: string
  /** What Linux takes as its command line there, less the byte that ends it: COMMAND_LINE_SIZE in its arch/. */
  cmdlineMax: number
  /** Places for virtio devices. */
  places: number
  cpuMax: number
  memMinMb: number
  memMaxMb: number
}

const linux = { cmdlineMax: 2047, places: 26, memMinMb: 64, memMaxMb: 1 << 20 }

const boards: Partial<Record<Arch, Board>> = {
  // With version 3 of its interrupt controller it has more than 8 processors.
  arm64: { ...linux, emulator: 'qemu-system-aarch64', debianPackage: 'qemu-system-arm', machine: 'virt,gic-version=3', cpuModel: 'cortex-a57', suffix: 'pci', console: 'ttyAMA0', cpuMax: 64 },
  // Debian's 32-bit kernels cannot reach what lies above 4 GiB, the PCI window among it.
  armhf: { ...linux, emulator: 'qemu-system-arm', debianPackage: 'qemu-system-arm', machine: 'virt,highmem=off', cpuModel: 'cortex-a15', suffix: 'pci', console: 'ttyAMA0', cmdlineMax: 1023, cpuMax: 8, memMaxMb: 3072 },
  mips64el: { ...linux, emulator: 'qemu-system-mips64el', debianPackage: 'qemu-system-mips', machine: 'malta', cpuModel: '5KEc', suffix: 'pci', console: 'ttyS0', places: 8, cpuMax: 1, memMaxMb: 2048 },
  mipsel: { ...linux, emulator: 'qemu-system-mipsel', debianPackage: 'qemu-system-mips', machine: 'malta', cpuModel: '24Kf', suffix: 'pci', console: 'ttyS0', places: 8, cpuMax: 1, memMaxMb: 2048 },
  // Of what the machine promises by default TCG has only the broken kinds; with vof there is no firmware to wait for.
  ppc64el: { ...linux, emulator: 'qemu-system-ppc64', debianPackage: 'qemu-system-ppc', machine: 'pseries,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off', cpuModel: 'power9', suffix: 'pci', console: 'hvc0', cpuMax: 64 },
  riscv64: { ...linux, emulator: 'qemu-system-riscv64', debianPackage: 'qemu-system-misc', machine: 'virt', cpuModel: 'rv64', suffix: 'pci', console: 'ttyS0', cmdlineMax: 1023, cpuMax: 8 },
  s390x: { ...linux, emulator: 'qemu-system-s390x', debianPackage: 'qemu-system-misc', machine: 's390-ccw-virtio', cpuModel: 'max', suffix: 'ccw', console: 'ttysclp0', cmdlineMax: 895, cpuMax: 64 },
  sparc: { ...linux, emulator: 'qemu-system-sparc', debianPackage: 'qemu-system-sparc', machine: 'SS-5', cpuModel: 'Fujitsu-MB86904', console: 'ttya', cmdlineMax: 255, places: 3, cpuMax: 1, memMinMb: 32, memMaxMb: 256 },
}

/** The board for a processor; undefined for x86, whose machines an image chooses. */
export const boardOf = (arch: Arch): Board | undefined => boards[arch]

/** Which processors there are emulators for on this machine. */
export interface Emulators {
  archs(): Arch[]
  /** What is missing for the others, as names of packages. */
  lacks(): Partial<Record<Arch, string>>
  /** The emulator's path; undefined where there is none. */
  program(arch: Arch): string | undefined
}

/** How long what was found counts: nobody waits long for an emulator that was just installed. */
const freshMs = 5000

/** Looks them up in the directories of `path`, anew now and then. That x86 works a probe has found out. */
export function emulators(path: string, ticks: () => number): Emulators {
  let seenMs = -Infinity
  let programs = new Map<Arch, string>()
  const look = () => {
    if (ticks() - seenMs < freshMs) return programs
    seenMs = ticks()
    programs = new Map(archs.flatMap((arch) => (boards[arch] ? programIn(path, boards[arch].emulator) : []).map((program) => [arch, program] as const)))
    return programs
  }
  const isHere = (arch: Arch) => boards[arch] === undefined || look().has(arch)
  return {
    archs: () => archs.filter(isHere),
    lacks: () => Object.fromEntries(archs.flatMap((arch) => (isHere(arch) ? [] : [[arch, boards[arch]?.debianPackage]]))),
    program: (arch) => look().get(arch),
  }
}

const programIn = (path: string, name: string): string[] =>
  path.split(delimiter).map((dir) => join(dir, name)).filter((program) => ((statSync(program, { throwIfNoEntry: false })?.mode ?? 0) & 0o111) !== 0).slice(0, 1)
