import { createHash } from 'node:crypto'
import type { Disk, Nic } from '../../../model/plan.ts'
import type { CheckedPlan } from './check.ts'
import { cmdline, userNet } from './cmdline.ts'

/** What a plan does not say: how this host runs it. */
export interface Machine {
  accel: 'kvm' | 'tcg'
  /** Rate of the host's time stamp counter. */
  tscKhz: number
  /** Names the process: carries the server's mark, the VM's id and the cookie of this start. */
  name: string
  /** Those of the plan's disks that are block devices. */
  blockDevices?: ReadonlySet<string>
}

type Card = Exclude<Nic, { kind: 'none' }>

/** Translated code kept under TCG. QEMU takes 1 GiB unless told. */
export const translationMb = 64

/** QEMU's files, from its working directory: short, because a socket's path may have 107 bytes. */
export const files = {
  qmp: 'run/qmp.sock',
  serial: 'run/serial.sock',
  vnc: 'run/vnc.sock',
  port: (at: number) => `run/port${at}.sock`,
  serialLog: 'serial.log',
  /** Pieces of files on their way into the guest or out of it. */
  window: 'window',
  /** A directory with the files of the seed. */
  seed: 'seed',
} as const

/**
 * All that TCG can do, but for the promise that `rep movsb` and `rep stosb` are fast: TCG does them byte by byte, and a kernel that is promised it copies everything by them.
 * Without it a guest's agent takes in twice as many bytes a second (QEMU 7.2, measured).
 */
const emulatedCpu = 'max,-erms,-fsrm'

/** QEMU's arguments, without the program. */
export function argv(checked: CheckedPlan, machine: Machine): string[] {
  const { plan, options, board } = checked
  const bus = board ? board.suffix : options.machine === 'microvm' ? 'device' : 'pci'
  // On a microvm, too, the guest finds them in the order they are named here.
  const devices = (model: string, properties: string) => `${model}-${bus},${properties}`
  const kvm = machine.accel === 'kvm' && !board
  const groups: string[][] = [
    ['-name', machine.name],
    ['-uuid', machineUuid(plan.id)],
    ['-machine', machineText(checked)],
    ['-accel', kvm ? 'kvm' : `tcg,tb-size=${translationMb}`],
    ['-cpu', options.cpuModel ?? board?.cpuModel ?? (kvm ? 'host' : emulatedCpu)],
    ['-smp', String(plan.cpu)],
    ['-m', `${plan.memMb}M`],
    ['-nodefaults', '-no-user-config', '-no-reboot'],
    ['-display', 'none'],
    options.vnc ? ['-vga', 'std', '-vnc', `unix:${files.vnc},share=force-shared`] : [],
    ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ['-chardev', socket('qmp', files.qmp), '-mon', 'chardev=qmp,mode=control'],
    ['-chardev', `${socket('serial', files.serial)},logfile=${files.serialLog},logappend=on`, '-serial', 'chardev:serial'],
    plan.boot === 'kernel' ? boot(checked, machine) : [],
    ...plan.disks.map((disk, at) => {
      const file = blockdev(disk, { at, cache: options.cache, device: machine.blockDevices?.has(disk.path) ?? false })
      return ['-blockdev', file, '-device', devices('virtio-blk', `drive=disk${at}${at === 0 && plan.boot === 'disk' ? ',bootindex=0' : ''}`)]
    }),
    ...plan.nics.map((nic, at) => (nic.kind === 'none' || bus === undefined ? [] : ['-netdev', netdev(nic, at, plan.nics), '-device', devices('virtio-net', card(nic, { at, pci: bus === 'pci' }))])),
    bus === undefined ? [] : ['-device', devices('virtio-serial', 'id=ports')],
    ...plan.ports.map((name, at) => ['-chardev', socket(`port${at}`, files.port(at)), '-device', `virtserialport,bus=ports.0,chardev=port${at},name=${name}`]),
    bus === undefined ? [] : ['-object', 'rng-builtin,id=rng', '-device', devices('virtio-rng', 'rng=rng')],
    // Last, so that cards and disks have the same places, and names in the guest, with these and without.
    plan.seed === undefined ? [] : ['-blockdev', seedDisk, '-device', devices('virtio-blk', 'drive=seed')],
    plan.window ? ['-blockdev', windowDisk, '-device', devices('virtio-blk', 'drive=window,serial=tt-window,werror=report,rerror=report')] : [],
  ]
  return groups.flat()
}

/** The machine's own number, by which licences and agents know it: the same at every start of this VM, and no other's. Version 8 of RFC 9562. */
function machineUuid(id: string): string {
  const bytes = createHash('sha256').update(id).digest().subarray(0, 16)
  bytes[6] = 0x80 | ((bytes[6] ?? 0) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

function machineText({ options: { machine, parts }, board }: CheckedPlan): string {
  if (board) return board.machine
  return [machine, ...Object.entries(parts).map(([part, on]) => `${part}=${on ? 'on' : 'off'}`)].join(',')
}

const socket = (id: string, path: string) => `socket,id=${id},path=${path},server=on,wait=off`

function boot(checked: CheckedPlan, machine: Machine): string[] {
  const { kernel = '', initrd } = checked.plan.files
  return ['-kernel', kernel, ...(initrd === undefined ? [] : ['-initrd', initrd]), '-append', cmdline(checked, machine)]
}

/**
 * `writeback` goes through the host's page cache, where VMs share what they read of one base image, and keeps the guest's flushes;
 * `direct` goes around it; `unsafe` drops flushes, for what may be lost.
 */
function blockdev(disk: Disk, { at, cache, device }: { at: number; cache: string; device: boolean }): string {
  const modes = { 'cache': { 'direct': cache === 'direct', 'no-flush': cache === 'unsafe' }, 'read-only': disk.readOnly ?? false, 'discard': 'unmap' }
  const file = { driver: device ? 'host_device' : 'file', filename: disk.path, ...modes }
  return JSON.stringify({ 'node-name': `disk${at}`, driver: disk.format, ...modes, file })
}

/** QEMU makes a FAT disk of the directory as it starts, and cloud-init finds it by its label. */
const seedDisk = JSON.stringify({ 'node-name': 'seed', driver: 'vvfat', dir: files.seed, label: 'CIDATA', 'read-only': true })

/** Through the host's page cache, in which the server reads and writes it; what is in it matters for moments only, so nothing is flushed. A host without room ends a transfer, where QEMU by itself would halt the guest. */
const windowDisk = JSON.stringify({ 'node-name': 'window', driver: 'raw', file: { driver: 'file', filename: files.window, cache: { 'direct': false, 'no-flush': true } } })

/** The launcher opens the taps, as root and in their order, from this descriptor on. */
const firstTapFd = 3

function netdev(nic: Card, at: number, nics: readonly Nic[]): string {
  if (nic.kind === 'tap') return `tap,id=net${at},fd=${firstTapFd + nics.slice(0, at).filter(({ kind }) => kind === 'tap').length},vhost=off`
  const { network, dns } = userNet(nic)
  const forwards = Object.entries(nic.ports).flatMap(([inner, outer]) => ['tcp', 'udp'].map((way) => `hostfwd=${way}:${nic.bind}:${outer}-${nic.ip}:${inner}`))
  const restrict = nic.denyOutgoing ? ['restrict=on'] : []
  return ['user', `id=net${at}`, `net=${network}`, `host=${nic.gateway}`, `dns=${dns}`, `dhcpstart=${nic.ip}`, 'ipv6=off', ...restrict, ...forwards].join(',')
}

function card(nic: Card, { at, pci }: { at: number; pci: boolean }): string {
  const mtu = nic.mtu === undefined ? [] : [`host_mtu=${nic.mtu}`]
  // Without its boot code no VM ever tries to boot from the network.
  return [`netdev=net${at}`, `mac=${nic.mac}`, ...mtu, ...(pci ? ['romfile='] : [])].join(',')
}
